import type { ZodType } from 'zod';
import type { JSONData } from '../../jobs/helpers.js';
import { isSecretName } from '../safe-json.js';
import { keyedHash } from './keyed-hash.js';
import { alternatives, fieldSchemas, itemSchemas, keySchemas, type Mark, markInside, markOf } from './schema-parts.js';

/** A body as it may be kept. */
export interface RedactedBody {
  readonly body: JSONData;
  /** The values that were taken out, as texts: they are to be kept out of whatever else the run leaves behind. */
  readonly values: readonly string[];
}

/**
 * Takes out of a body what its RequestBody marks: `.meta({ pii: true })` leaves a keyed hash, `.meta({ secret: true })`
 * nothing at all, a field named like a secret (password, token, authorization, ssn, ...) a word. The body need not fit the schema:
 * of alternatives, each that could be meant is heeded, and what stands where something marked is looked for (a text in place of an
 * object, a field that is misspelt) is taken for that.
 * @param body plain JSON
 * @param key of the hashes; without it a personal value leaves a word
 * @returns undefined when there was nothing to take out
 */
export function redactBody(body: JSONData, schema: ZodType | undefined, key: string | undefined): RedactedBody | undefined {
  const redaction = new Redaction(key);
  const redacted = redaction.of(body, schema ? alternatives([schema]) : []);
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
    const mark = markOf(schemas) ?? (typeof value === 'object' ? undefined : markOfStranger(value, schemas));
    if (mark) return this.#marked(value, mark, schemas);
    if (Array.isArray(value)) return value.map((item, index) => this.#part(item, itemSchemas(schemas, index), schemas) ?? null);
    return typeof value === 'object' ? this.#object(value, schemas) : value;
  }

  /** A part of a value that `around` describes. One that no schema knows may be one that is marked, and misspelt: the job does not look for it. */
  #part(part: JSONData, known: readonly ZodType[], around: readonly ZodType[]): JSONData | undefined {
    const mark = known.length > 0 ? undefined : markOfStranger(part, around);
    return mark ? this.#marked(part, mark) : this.of(part, known);
  }

  #marked(value: JSONData, mark: Mark, schemas: readonly ZodType[] = []): JSONData | undefined {
    this.#take(value, schemas);
    return mark === 'secret' ? undefined : keyedHash(value, this.#key);
  }

  #object(value: { [key: string]: JSONData | undefined }, schemas: readonly ZodType[]): JSONData {
    const hasMarkedKeys = markOf(keySchemas(schemas)) !== undefined;
    const kept: [string, JSONData][] = [];
    for (const [name, member] of Object.entries(value)) {
      if (member === undefined) continue;
      const shown = this.#member(name, member, schemas);
      if (shown === undefined) continue;
      if (hasMarkedKeys) this.#take(name);
      kept.push([hasMarkedKeys ? keyedHash(name, this.#key) : name, shown]);
    }
    return Object.fromEntries(kept);
  }

  #member(name: string, member: JSONData, around: readonly ZodType[]): JSONData | undefined {
    const known = fieldSchemas(around, name);
    if (markOf(known) !== undefined || !isSecretName(name, member)) return this.#part(member, known, around);
    this.#take(member);
    return '[Secret]';
  }

  /** Remembers every text and number in a value that is taken out, and the names of a record, which are values too. */
  #take(value: JSONData | undefined, schemas: readonly ZodType[] = []): void {
    this.isNeeded = true;
    if (typeof value === 'string' || typeof value === 'number') this.values.add(String(value));
    else if (Array.isArray(value)) value.forEach((item, index) => this.#take(item, itemSchemas(schemas, index)));
    else if (typeof value === 'object' && value !== null) {
      if (keySchemas(schemas).length > 0) Object.keys(value).forEach((name) => this.values.add(name));
      for (const [name, member] of Object.entries(value)) this.#take(member, fieldSchemas(schemas, name));
    }
  }
}

/** Of a value that stands where its schemas look for something else, which holds personal data: it may be that, said otherwise. */
const markOfStranger = (value: JSONData, schemas: readonly ZodType[]): Mark | undefined =>
  typeof value === 'boolean' || value === null ? undefined : markInside(schemas);
