import { types } from 'node:util';
import { orUndefined } from '../errors/or-undefined.js';
import type { Scrub } from '../personal-data/scrubber.js';
import { isPostgresError, messageWithoutValues } from '../errors/postgres-message.js';
import { charactersRead, shownText } from '../text/shown-text.js';
import { framesOf } from '../errors/stack-frames.js';

/** How much of a value is shown. Beyond it there are notes, so that a line of log stays a line whatever is logged. */
const MOST_DEPTH = 10;
const MOST_MEMBERS = 2_000;
const MOST_TEXT_BYTES = 8_192;
const MOST_STACK_BYTES = 16_384;
const MOST_CHARACTERS = 32_768;
const MOST_KEY_BYTES = 200;
/** What is looked through for all of a value, shown or not. In characters. */
const MOST_READ = 1_000_000;

const THROWS = '[Throws]';

/** In the words of a field's name, joined by blanks: its value is a secret by custom. Headers are among them. */
const SECRET = /pass(?:word|wd|phrase)|pwd\b|secret(?!ar)|\b(?:authorization|cookies?|credentials?|jwt|ssn)\b|\bsocial ?security\b|(?:api|private|access|encryption|signing|master|auth|shared|session|account) ?keys?\b/;
/** Such as sessionToken. A number is how many there are, or may be. */
const TOKEN = /tokens?\b/;
/** tokenCount, passwordUpdatedAt: about a secret, and none. */
const ABOUT_SECRET = /\b(?:count|at|length|type|name|expires|expiry|expiration|age|limit|policy|status|used)$/;

/** What Postgres says with the values of rows in it. */
const QUOTES_VALUES = new Set(['detail', 'where', 'hint', 'internalQuery']);

/**
 * Any value as JSON text for a log, clean enough for Postgres: circles, depths, sizes, binary data and what throws become
 * notes in square brackets, an Error keeps its stack, its causes and its own fields, and a field whose name says that it is
 * a secret is not shown. Undefined only for undefined. Never throws, whatever it is given.
 * @param scrub what more is to be taken out of its texts, numbers and names, before they are cut
 */
export function toSafeJson(value: unknown, scrub?: Scrub): string | undefined {
  try {
    const copy = new SafeCopy(scrub).of(value, 0);
    return copy === undefined ? undefined : JSON.stringify(copy);
  } catch {
    return `"${THROWS}"`;
  }
}

type Plain = string | number | boolean | null | undefined | readonly Plain[] | { [key: string]: Plain };

/** Copies a value into plain, finite data, within one budget for the whole of it. Whatever throws becomes a note in its place. */
class SafeCopy {
  readonly #scrub: Scrub | undefined;
  #membersLeft = MOST_MEMBERS;
  #charactersLeft = MOST_CHARACTERS;
  #readingLeft = MOST_READ;
  readonly #open = new Set<object>();

  constructor(scrub: Scrub | undefined) {
    this.#scrub = scrub;
  }

  of(value: unknown, depth: number): Plain {
    switch (typeof value) {
      case 'string':
        return this.#text(value, MOST_TEXT_BYTES);
      case 'number':
        return Number.isFinite(value) && this.#scrubbed(String(value)) === String(value) ? value : this.#scrubbed(String(value));
      case 'boolean':
      case 'undefined':
        return value;
      case 'function':
        return '[Function]';
      case 'object':
        return value === null ? null : this.#object(value, depth);
      default:
        return this.#text(String(value), MOST_TEXT_BYTES);
    }
  }

  #object(value: object, depth: number): Plain {
    if (this.#open.has(value)) return '[Circular]';
    if (depth > MOST_DEPTH) return '[Nested deeper]';
    this.#open.add(value);
    try {
      return this.#members(value, depth + 1);
    } catch {
      return THROWS;
    } finally {
      this.#open.delete(value);
    }
  }

  #members(value: object, depth: number): Plain {
    if (Array.isArray(value)) return this.#array(value.length, (at) => concealedItem(value as unknown[], at, (value as unknown[])[at]), depth);
    const { toJSON } = value as { toJSON?: unknown };
    if (Object.getPrototypeOf(value) !== Object.prototype) {
      if (types.isNativeError(value) || value instanceof Error) return this.#error(value, depth);
      if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return `[${value.byteLength} bytes]`;
      if (types.isDate(value)) return Number.isNaN(value.getTime()) ? '[Invalid Date]' : this.#scrubbed(value.toISOString());
      if (types.isBoxedPrimitive(value)) return this.of(value.valueOf(), depth);
      if (typeof toJSON !== 'function' && (types.isMap(value) || types.isSet(value))) return this.#collection(value, depth);
    }
    return typeof toJSON === 'function' ? this.of(toJSON.call(value, ''), depth) : this.#record(value, Object.keys(value), depth);
  }

  #array(length: number, itemAt: (at: number) => unknown, depth: number): Plain {
    const copies: Plain[] = [];
    for (let at = 0; at < length; at++) {
      if (this.#isSpent()) {
        copies.push(`[${length - at} more]`);
        break;
      }
      try {
        copies.push(this.of(itemAt(at), depth));
      } catch {
        copies.push(THROWS);
      }
    }
    return copies;
  }

  #collection(value: Map<unknown, unknown> | Set<unknown>, depth: number): Plain {
    const items: Iterator<unknown> = value[Symbol.iterator]();
    return this.#array(value.size, () => items.next().value, depth);
  }

  #record(value: object, keys: readonly string[], depth: number): { [key: string]: Plain } {
    // Without a prototype, so that a field named __proto__ is a field.
    const copies = Object.create(null) as { [key: string]: Plain };
    for (let at = 0; at < keys.length; at++) {
      if (this.#isSpent()) {
        copies['[...]'] = `[${keys.length - at} more]`;
        break;
      }
      const key = keys[at] as string;
      const name = this.#text(key, MOST_KEY_BYTES);
      try {
        copies[name] = this.of(concealed(key, (value as Record<string, unknown>)[key]), depth);
      } catch {
        copies[name] = THROWS;
      }
    }
    return copies;
  }

  #error(error: Error, depth: number): Plain {
    const hidden = isPostgresError(error) ? QUOTES_VALUES : undefined;
    const own = Object.keys(error).filter((key) => !ERROR_FIELDS.has(key) && !hidden?.has(key));
    const copies = this.#record(error, ['name', 'message', ...own], depth);
    const message = orUndefined(() => messageWithoutValues(error));
    if (message !== undefined) copies.message = this.#text(message, MOST_TEXT_BYTES);
    const stack = orUndefined(() => (message === undefined ? error.stack : `${error.name}: ${message}${framesOf(error)}`));
    if (typeof stack === 'string') copies.stack = this.#text(stack, MOST_STACK_BYTES);
    // Neither field is enumerable.
    return Object.assign(copies, this.#record(error, ['cause', 'errors'].filter((key) => key in error), depth));
  }

  #text(text: string, most: number): string {
    if (this.#charactersLeft <= 0 || this.#readingLeft <= 0) return '[Left out]';
    const room = Math.min(most, Math.max(this.#charactersLeft, MOST_KEY_BYTES));
    this.#readingLeft -= charactersRead(text, room);
    const shown = shownText(text, room, this.#scrub);
    this.#charactersLeft -= shown.length;
    return shown;
  }

  #scrubbed(text: string): string {
    return this.#scrub ? this.#scrub(text) : text;
  }

  #isSpent(): boolean {
    return this.#charactersLeft <= 0 || this.#membersLeft-- <= 0;
  }
}

const ERROR_FIELDS = new Set(['name', 'message', 'stack', 'cause', 'errors']);

/** The value of a field as it may be shown. */
export const concealed = (name: string, value: unknown): unknown => (isSecretName(name, value) ? '[Secret]' : value);

/** As `concealed`, for an item of a list in which names stand before their values: rawHeaders, or a pair of a Map's or of Headers'. */
export function concealedItem(items: readonly unknown[], at: number, item: unknown): unknown {
  const name = at > 0 ? items[at - 1] : undefined;
  if (typeof name !== 'string') return item;
  const isNamed = (items.length === 2 && at === 1) || (name.length <= MOST_KEY_BYTES && HEADER.test(name));
  return isNamed ? concealed(name, item) : item;
}

/** Names that are none but a header's: of others, a list may well hold several. */
const HEADER = /^(?:authorization|cookie|[a-z\d]+(?:-[a-z\d]+)+)$/i;

/** Whether a field of that name, with that value, holds a secret by custom. */
export function isSecretName(key: string, value: unknown): boolean {
  if (value === undefined || value === null || typeof value === 'boolean') return false;
  const words = wordsOf(key);
  const isSecret = SECRET.test(words) || (typeof value !== 'number' && TOKEN.test(words));
  return isSecret && !ABOUT_SECRET.test(words);
}

/** secretAccessKey, SECRET_ACCESS_KEY and secret-access-key are `secret access key`. */
const wordsOf = (name: string): string =>
  (name.length <= MOST_KEY_BYTES ? name : `${name.slice(0, MOST_KEY_BYTES / 2)} ${name.slice(-MOST_KEY_BYTES / 2)}`).replace(/([a-z\d])([A-Z])/g, '$1 $2').replace(/([A-Z])([A-Z][a-z])/g, '$1 $2').replace(/[^A-Za-z\d]+|(?<=[A-Za-z])(?=\d)/g, ' ').toLowerCase();
