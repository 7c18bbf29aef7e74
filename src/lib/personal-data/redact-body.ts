import type { ZodType } from 'zod';
import type { JSONData } from '../../jobs/helpers.js';
import { isSecretName } from '../json/safe-json.js';
import { keyedHash } from './keyed-hash.js';
import type { Mark } from './marks.js';
import { bodyPlace, NOWHERE, type Place } from './schema-place.js';

/** A body as it may be kept. */
export interface RedactedBody {
  readonly body: JSONData;
  /** The values that were taken out, as texts: they are to be kept out of whatever else the run leaves behind. */
  readonly values: readonly string[];
}

/**
 * Takes out of a body what its RequestBody marks: `.meta({ pii: true })` leaves a keyed hash, `.meta({ secret: true })`
 * nothing at all, a field named like a secret (password, token, authorization, ssn, ...) a word. The body need not fit the schema.
 * Every alternative that could be meant counts. A value in the place of something marked (a text in place of an object, a misspelt
 * field) is taken out as if it were that.
 * @param body plain JSON
 * @param key of the hashes; without it a personal value leaves a word
 * @returns undefined when there was nothing to take out
 */
export function redactBody(body: JSONData, schema: ZodType | undefined, key: string | undefined): RedactedBody | undefined {
  const redaction = new Redaction(key);
  const redacted = redaction.of(body, schema ? bodyPlace(schema) : NOWHERE);
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
  of(value: JSONData, place: Place): JSONData | undefined {
    if (value === null) return null;
    const mark = place.mark ?? (typeof value === 'object' ? undefined : markOfStranger(value, place));
    if (mark) return this.#marked(value, mark, place);
    if (Array.isArray(value)) return value.map((item, index) => this.#part(item, place.item(index), place) ?? null);
    return typeof value === 'object' ? this.#object(value, place) : value;
  }

  /** A part of the value at `around`. A field that no schema knows may be a marked one that is misspelt. The job does not read such a field, so it may be taken out. */
  #part(part: JSONData, place: Place, around: Place): JSONData | undefined {
    const mark = place.isKnown ? undefined : markOfStranger(part, around);
    return mark ? this.#marked(part, mark, NOWHERE) : this.of(part, place);
  }

  #marked(value: JSONData, mark: Mark, place: Place): JSONData | undefined {
    this.#take(value, place);
    return mark === 'secret' ? undefined : keyedHash(value, this.#key);
  }

  #object(value: { [key: string]: JSONData | undefined }, place: Place): JSONData {
    const hasMarkedKeys = place.keys().mark !== undefined;
    const kept: [string, JSONData][] = [];
    for (const [name, member] of Object.entries(value)) {
      if (member === undefined) continue;
      const shown = this.#member(name, member, place);
      if (shown === undefined) continue;
      if (hasMarkedKeys) this.#take(name, NOWHERE);
      kept.push([hasMarkedKeys ? keyedHash(name, this.#key) : name, shown]);
    }
    return Object.fromEntries(kept);
  }

  #member(name: string, member: JSONData, around: Place): JSONData | undefined {
    const place = around.field(name);
    if (place.mark !== undefined || !isSecretName(name, member)) return this.#part(member, place, around);
    this.#take(member, NOWHERE);
    return '[Secret]';
  }

  /** Remembers every text and number in a value that is taken out, and the names of a record, which are values too. */
  #take(value: JSONData | undefined, place: Place): void {
    this.isNeeded = true;
    if (typeof value === 'string' || typeof value === 'number') this.values.add(String(value));
    else if (Array.isArray(value)) value.forEach((item, index) => this.#take(item, place.item(index)));
    else if (typeof value === 'object' && value !== null) {
      if (place.keys().isKnown) Object.keys(value).forEach((name) => this.values.add(name));
      for (const [name, member] of Object.entries(value)) this.#take(member, place.field(name));
    }
  }
}

/** For a value of another kind than its schemas describe, where they describe personal data: it may be that data in another form. */
const markOfStranger = (value: JSONData, place: Place): Mark | undefined =>
  typeof value === 'boolean' || value === null ? undefined : place.inside;
