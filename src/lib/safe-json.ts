import { types } from 'node:util';
import { attempt } from './attempt.js';
import { toStorableText } from './storable-text.js';

/** How much of a value is shown. Beyond it there are notes, so that a line of log stays a line whatever is logged. */
const MOST_DEPTH = 10;
const MOST_MEMBERS = 2_000;
const MOST_TEXT_BYTES = 8_192;
const MOST_STACK_BYTES = 16_384;
const MOST_CHARACTERS = 32_768;
const MOST_KEY_BYTES = 200;

const THROWS = '[Throws]';

/** Names of fields whose values are secrets by custom, headers among them. */
const SECRET =
  /^(?:x[-_]?)?(?:pass(?:word|wd|phrase)|pwd|(?:client[-_]?)?secret|(?:(?:access|refresh|id|auth|bearer|api)[-_]?)?token|(?:api|private)[-_]?key|(?:proxy[-_]?)?authorization|(?:set[-_]?)?cookie)$/i;

/** What Postgres says with the values of rows in it. */
const QUOTES_VALUES = new Set(['detail', 'where', 'hint', 'internalQuery']);

/**
 * Any value as JSON text for a log, clean enough for Postgres: circles, depths, sizes, binary data and what throws become
 * notes in square brackets, an Error keeps its stack, its causes and its own fields, and a field whose name says that it is
 * a secret is not shown. Undefined only for undefined. Never throws, whatever it is given.
 */
export function toSafeJson(value: unknown): string | undefined {
  try {
    const copy = new SafeCopy().of(value, 0);
    return copy === undefined ? undefined : JSON.stringify(copy);
  } catch {
    return `"${THROWS}"`;
  }
}

/** An error of Postgres, as node-postgres gives it. */
export function isPostgresError(error: object): boolean {
  const severity = attempt(() => (error as { severity?: unknown }).severity);
  const code = attempt(() => (error as { code?: unknown }).code);
  return typeof severity === 'string' && typeof code === 'string' && /^[\dA-Z]{5}$/.test(code);
}

type Plain = string | number | boolean | null | undefined | readonly Plain[] | { [key: string]: Plain };

/** Copies a value into plain, finite data, within one budget for the whole of it. Whatever throws becomes a note in its place. */
class SafeCopy {
  #membersLeft = MOST_MEMBERS;
  #charactersLeft = MOST_CHARACTERS;
  readonly #open = new Set<object>();

  of(value: unknown, depth: number): Plain {
    switch (typeof value) {
      case 'string':
        return this.#text(value, MOST_TEXT_BYTES);
      case 'number':
        return Number.isFinite(value) ? value : String(value);
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
    if (Array.isArray(value)) return this.#array(value.length, (at) => (value as unknown[])[at], depth);
    const { toJSON } = value as { toJSON?: unknown };
    if (Object.getPrototypeOf(value) !== Object.prototype) {
      if (types.isNativeError(value) || value instanceof Error) return this.#error(value, depth);
      if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return `[${value.byteLength} bytes]`;
      if (types.isDate(value)) return Number.isNaN(value.getTime()) ? '[Invalid Date]' : value.toISOString();
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
    const stack = attempt(() => error.stack);
    if (typeof stack === 'string') copies.stack = this.#text(stack, MOST_STACK_BYTES);
    // Neither field is enumerable.
    return Object.assign(copies, this.#record(error, ['cause', 'errors'].filter((key) => key in error), depth));
  }

  #text(text: string, most: number): string {
    if (this.#charactersLeft <= 0) return '[Left out]';
    const shown = toStorableText(text, Math.min(most, Math.max(this.#charactersLeft, MOST_KEY_BYTES)));
    this.#charactersLeft -= shown.length;
    return shown;
  }

  #isSpent(): boolean {
    return this.#charactersLeft <= 0 || this.#membersLeft-- <= 0;
  }
}

const ERROR_FIELDS = new Set(['name', 'message', 'stack', 'cause', 'errors']);

const concealed = (key: string, value: unknown): unknown =>
  value !== undefined && value !== null && typeof value !== 'boolean' && SECRET.test(key) ? '[Secret]' : value;
