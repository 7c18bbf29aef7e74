import { withoutCredentials } from '../text/credentials.js';
import { concealed, concealedItem } from './safe-json.js';

/** One of these stands before every secret that is found by its name or by its form. */
const MARK = /pass|pwd|secret|auth|cookie|credential|jwt|ssn|social|key|token|assertion|:\/\/|eyj|(?:bearer|basic) /i;

/**
 * JSON text without secrets: what stands in a field that is named like one (cookie, authorization, apiKey, ...) or behind such a
 * header's name in a list (IncomingMessage.rawHeaders), and the passwords and tokens in its texts. The text itself where there is none.
 * @param json nested 1,000 levels at most
 */
export function jsonWithoutSecrets(json: string): string {
  return MARK.test(json) ? JSON.stringify(without(JSON.parse(json))) : json;
}

/** How many characters from its beginning can hold no secret, however JSON text goes on. */
export function charactersBeforeSecrets(json: string): number {
  const at = json.search(MARK);
  return at < 0 ? json.length : at;
}

function without(value: unknown): unknown {
  if (typeof value === 'string') return withoutCredentials(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item, at) => without(concealedItem(value, at, item)));
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [withoutCredentials(name), without(concealed(name, member))]));
}
