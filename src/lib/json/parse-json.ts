import { ServiceError } from '../errors/service-error.js';
import { isNestedDeeper } from './storable-json.js';

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
  // By the text: to walk through the values takes many times as long, and only a text with such a key needs that.
  if (isNestedDeeper(text, DEEPEST)) throw new ServiceError(400, `The body is nested more than ${DEEPEST} levels deep.`);
  if (SUSPICIOUS_KEY.test(text)) refuseHarm(value);
  return value;
}

/** Also when written with escapes. */
const SUSPICIOUS_KEY = /__proto__|constructor|\\u/;

function refuseHarm(root: unknown): void {
  const waiting: unknown[] = [root];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    if (!Array.isArray(value)) refuseKeys(value);
    for (const child of Array.isArray(value) ? value : Object.values(value)) if (typeof child === 'object' && child !== null) waiting.push(child);
  }
}

function refuseKeys(value: object): void {
  const constructor: unknown = Object.hasOwn(value, 'constructor') ? (value as { constructor: unknown }).constructor : undefined;
  const reaches = typeof constructor === 'object' && constructor !== null && Object.hasOwn(constructor, 'prototype');
  if (Object.hasOwn(value, '__proto__') || reaches) throw new ServiceError(400, 'The body has a key that is not allowed: __proto__ or constructor.prototype.');
}
