import type { ZodType } from 'zod';
import type { JSONData } from '../../jobs/helpers.js';
import { isSecretName } from '../safe-json.js';
import { keyedHash } from './keyed-hash.js';
import { alternatives, fieldSchemas, itemSchemas, keySchemas, markOf } from './schema-parts.js';

/** A body as it may be kept. */
export interface RedactedBody {
  readonly body: JSONData;
  /** The values that were taken out, as texts: they are to be kept out of whatever else the run leaves behind. */
  readonly values: readonly string[];
}

/**
 * Takes out of a body what its RequestBody marks: `.meta({ pii: true })` leaves a keyed hash, `.meta({ secret: true })`
 * nothing at all, a field named like a secret (password, token, authorization, ssn, ...) a word. The body need not fit the schema:
 * of alternatives, each that could be meant is heeded.
 * @param body plain JSON
 * @param key of the hashes; without it a personal value leaves a word
 * @returns undefined when there was nothing to take out
 */
export function redactBody(body: JSONData, schema: ZodType | undefined, key: string | undefined): RedactedBody | undefined {
  const redaction = new Redaction(key);
  const redacted = redaction.of(body, schema ? [...alternatives(schema)] : []);
  return redaction.isNeeded ? { body: redacted ?? null, values: [...redaction.values] } : undefined;
}

class Redaction {
  readonly values = new Set<string>();
  isNeeded = false;
  readonly #key: string | undefined;

  constructor(key: string | undefined) {
    this.#key = key;
  }

  /** Undefined for what is not to be kept in any form. */
  of(value: JSONData, schemas: readonly ZodType[]): JSONData | undefined {
    if (value === null) return null;
    const mark = markOf(schemas);
    if (mark) this.#take(value);
    if (mark === 'secret') return undefined;
    if (mark === 'pii') return keyedHash(value, this.#key);
    if (Array.isArray(value)) return value.map((item, index) => this.of(item, itemSchemas(schemas, index)) ?? null);
    return typeof value === 'object' ? this.#object(value, schemas) : value;
  }

  #object(value: { [key: string]: JSONData | undefined }, schemas: readonly ZodType[]): JSONData {
    const hasMarkedKeys = markOf(keySchemas(schemas)) !== undefined;
    const kept: [string, JSONData][] = [];
    for (const [name, member] of Object.entries(value)) {
      if (member === undefined) continue;
      const shown = this.#member(name, member, fieldSchemas(schemas, name));
      if (shown === undefined) continue;
      if (hasMarkedKeys) this.#take(name);
      kept.push([hasMarkedKeys ? keyedHash(name, this.#key) : name, shown]);
    }
    return Object.fromEntries(kept);
  }

  #member(name: string, member: JSONData, schemas: readonly ZodType[]): JSONData | undefined {
    if (markOf(schemas) !== undefined || !isSecretName(name, member)) return this.of(member, schemas);
    this.#take(member);
    return '[Secret]';
  }

  /** Remembers every text and number in a value that is taken out. */
  #take(value: JSONData | undefined): void {
    this.isNeeded = true;
    if (typeof value === 'string' || typeof value === 'number') this.values.add(String(value));
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach((member) => this.#take(member as JSONData));
  }
}
