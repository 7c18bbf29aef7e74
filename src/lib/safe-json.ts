import { types } from 'node:util';
import { attempt } from './attempt.js';
import type { Scrub } from './personal-data/scrubber.js';
import { toStorableText } from './storable-text.js';

/** How much of a value is shown. Beyond it there are notes, so that a line of log stays a line whatever is logged. */
const MOST_DEPTH = 10;
const MOST_MEMBERS = 2_000;
const MOST_TEXT_BYTES = 8_192;
const MOST_STACK_BYTES = 16_384;
const MOST_CHARACTERS = 32_768;
const MOST_KEY_BYTES = 200;

const THROWS = '[Throws]';

/** In the words of a field's name, joined by blanks: its value is a secret by custom. Headers are among them. */
const SECRET = /pass(?:word|wd|phrase)|pwd\b|secret(?!ar)|\b(?:authorization|cookies?|credentials?|jwt|ssn)\b|\bsocial ?security\b|(?:api|private|access|encryption|signing|master|auth|shared|session|account) ?keys?\b/;
/** Such as sessionToken. A number is how many there are, or may be. */
const TOKEN = /tokens?\b/;
/** tokenCount, passwordUpdatedAt: about a secret, and none. */
const ABOUT_SECRET = /\b(?:count|at|length|type|name|expires|expiry|expiration|age|limit|policy|status|used)$/;

/** The user and the password in an address: postgres://user:password@host. */
const CREDENTIALS = /:\/\/[^\s/?#:@]*:[^\s/]+@/g;

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

/** An error of Postgres, as node-postgres gives it. */
export function isPostgresError(error: object): boolean {
  const severity = attempt(() => (error as { severity?: unknown }).severity);
  const code = attempt(() => (error as { code?: unknown }).code);
  return typeof severity === 'string' && typeof code === 'string' && /^[\dA-Z]{5}$/.test(code);
}

/** The text without the users and passwords of the addresses in it, and without tokens. */
export function withoutCredentials(text: string): string {
  const anonymous = text.includes('://') ? text.replace(CREDENTIALS, '://[Secret]@') : text;
  return MARKS_OF_TOKENS.some((mark) => anonymous.includes(mark)) ? anonymous.replace(JSON_WEB_TOKEN, '[Secret]').replace(BEARER, '$1 [Secret]') : anonymous;
}

const MARKS_OF_TOKENS = ['eyJ', 'earer ', 'asic '];
/** Its header and its claims are JSON objects, in base64url (RFC 7515, 3.1). */
const JSON_WEB_TOKEN = /\beyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]*/g;
/** As the header Authorization holds it, 16 characters or more: 'basic information' is none. */
const BEARER = /\b([Bb]earer|[Bb]asic) +(?=[\w.~+/-]*[\d=])[\w.~+/-]{16,}=*/g;

/**
 * The message of an error without what Postgres quotes of a value: `invalid input syntax for type integer: "[Value]"`. For its
 * errors of classes 22 (data) and 23 (constraints); undefined for any other. The names of tables, columns and constraints,
 * and the SQL that knex puts first, are kept.
 */
export function messageWithoutValues(error: object): string | undefined {
  if (!isPostgresError(error)) return undefined;
  const { code, message } = error as { code: unknown; message: unknown };
  if (typeof code !== 'string' || !/^2[23]/.test(code) || typeof message !== 'string') return undefined;
  // A value may have quotes in it, so it goes on to the last one.
  const blanked = message.replace(/: "[^]*"/, `: "${VALUE}"`).replace(/\bvalue "[^]*"(?= (?:is|out)\b)/, `value "${VALUE}"`);
  const [, sql = '', said = blanked] = /^(\s*(?:\/\*|\(|with|select|insert|update|delete|merge|copy)\b[^]*) - ([^]*)$/i.exec(blanked) ?? [];
  // SQL with half a quoted value in it.
  if (sql.split('"').length % 2 === 0) return blanked.replace(QUOTED, quotedName);
  return `${sql && `${sql.replace(/'[^']*'/g, `'${VALUE}'`)} - `}${said.replace(QUOTED, quotedName)}`;
}

const VALUE = '[Value]';
const QUOTED = /(\b(?:column|relation|table|constraint|index|type|domain|enum|encoding|schema|function) )?"[^"]*"/g;
const quotedName = (quoted: string, kind: string | undefined): string => (kind === undefined ? `"${VALUE}"` : quoted);

/** The frames of an error's stack, each behind a newline, without lines of its message that look like one. '' for no stack. */
export function framesOf(error: object): string {
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  const frames = /(?:\n {4}at .*)+$/.exec(String(stack))?.[0] ?? '';
  return frames.split('\n').filter((line) => line === '' || !String(message).includes(line)).join('\n');
}

type Plain = string | number | boolean | null | undefined | readonly Plain[] | { [key: string]: Plain };

/** Copies a value into plain, finite data, within one budget for the whole of it. Whatever throws becomes a note in its place. */
class SafeCopy {
  readonly #scrub: Scrub | undefined;
  #membersLeft = MOST_MEMBERS;
  #charactersLeft = MOST_CHARACTERS;
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
    if (Array.isArray(value)) return this.#array(value.length, (at) => (value as unknown[])[at], depth);
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
    const message = attempt(() => messageWithoutValues(error));
    if (message !== undefined) copies.message = this.#text(message, MOST_TEXT_BYTES);
    const stack = attempt(() => (message === undefined ? error.stack : `${error.name}: ${message}${framesOf(error)}`));
    if (typeof stack === 'string') copies.stack = this.#text(stack, MOST_STACK_BYTES);
    // Neither field is enumerable.
    return Object.assign(copies, this.#record(error, ['cause', 'errors'].filter((key) => key in error), depth));
  }

  #text(text: string, most: number): string {
    if (this.#charactersLeft <= 0) return '[Left out]';
    const shown = toStorableText(withoutCredentials(this.#scrubbed(text)), Math.min(most, Math.max(this.#charactersLeft, MOST_KEY_BYTES)));
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

const concealed = (key: string, value: unknown): unknown => (isSecretName(key, value) ? '[Secret]' : value);

/** Whether a field of that name, with that value, holds a secret by custom. */
export function isSecretName(key: string, value: unknown): boolean {
  if (value === undefined || value === null || typeof value === 'boolean') return false;
  const words = wordsOf(key);
  const isSecret = SECRET.test(words) || (typeof value !== 'number' && TOKEN.test(words));
  return isSecret && !ABOUT_SECRET.test(words);
}

/** secretAccessKey, SECRET_ACCESS_KEY and secret-access-key are `secret access key`. */
const wordsOf = (name: string): string =>
  name.slice(0, MOST_KEY_BYTES).replace(/([a-z\d])([A-Z])/g, '$1 $2').replace(/([A-Z])([A-Z][a-z])/g, '$1 $2').replace(/[^A-Za-z\d]+|(?<=[A-Za-z])(?=\d)/g, ' ').toLowerCase();
