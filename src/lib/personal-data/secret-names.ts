import type { JSONData } from '../../jobs/helpers.js';
import { isSecretName } from '../json/safe-json.js';

/** Whatever isSecretName takes for a secret holds one of these, in a name as it is written. */
const MAY_BE_SECRET = /pass|pwd|secret|authorization|cookie|credential|jwt|ssn|social|key|token/i;

/**
 * Whether any field in a body is named like a secret. Most bodies are done with by a look at their text, since to walk through
 * the hundred thousand values that a megabyte may hold takes long.
 * @param text the body as JSON
 */
export function holdsSecretName(text: string): boolean {
  if (!MAY_BE_SECRET.test(text) && !text.includes('\\u')) return false;
  const waiting: JSONData[] = [JSON.parse(text) as JSONData];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object' && item !== null) waiting.push(item);
      continue;
    }
    for (const name in value) {
      const member = value[name];
      if (MAY_BE_SECRET.test(name) && isSecretName(name, member)) return true;
      if (typeof member === 'object' && member !== null) waiting.push(member);
    }
  }
  return false;
}
