import { ServiceError } from './service-error.js';

const DEEPEST = 100;

/**
 * JSON from outside, checked for what does harm later: nesting over 100 levels, and keys that reach for a prototype.
 * @throws {ServiceError} 400; never quoting the text, which may hold anybody's data
 */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Node's own message quotes the text.
    throw new ServiceError(400, 'The body is not valid JSON.');
  }
  // Only a text that has such a key or so many brackets can hold what is refused, and hardly any does.
  if (SUSPICIOUS_KEY.test(text) || text.length > 2 * DEEPEST) refuseHarm(value, text);
  return value;
}

/** Also when written with escapes. */
const SUSPICIOUS_KEY = /__proto__|constructor|\\u/;

function refuseHarm(root: unknown, text: string): void {
  const checkKeys = SUSPICIOUS_KEY.test(text);
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === DEEPEST) throw new ServiceError(400, `The body is nested more than ${DEEPEST} levels deep.`);
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value !== 'object' || value === null) continue;
      if (checkKeys) refuseKeys(value);
      for (const child of Object.values(value)) if (typeof child === 'object' && child !== null) next.push(child);
    }
    level = next;
  }
}

function refuseKeys(value: object): void {
  const constructor: unknown = Object.hasOwn(value, 'constructor') ? (value as { constructor: unknown }).constructor : undefined;
  const reaches = typeof constructor === 'object' && constructor !== null && Object.hasOwn(constructor, 'prototype');
  if (Object.hasOwn(value, '__proto__') || reaches) throw new ServiceError(400, 'The body has a key that is not allowed: __proto__ or constructor.prototype.');
}
