import { types } from 'node:util';
import { messageWithoutValues } from '../errors/postgres-message.js';

/** A value of a job's as JSON text. */
export interface Json {
  /** Undefined where there is nothing to send: undefined, a function or a symbol. */
  readonly text: string | undefined;
  /** The value held itself somewhere inside; "[Circular]" stands there. */
  readonly circular: boolean;
}

/** The value is nested deeper than any text that is of use to its reader; as a rule its getters make it up without end. */
export class TooDeepError extends RangeError {
  override readonly name = 'TooDeepError';
}

const MOST_DEPTH = 10_000;
/** Deeper than this only the Writer goes: it sees circles, and takes no stack. */
const MOST_PLAIN_DEPTH = 100;

/**
 * What a job returned, as JSON text, the way JSON.stringify writes it but for: a BigInt as a decimal string, a Map as an
 * array of its [key, value] entries, a Set as an array of its values, an Error as its name and message (whatever else it
 * carries is not for the caller, not even by a toJSON), a circle as "[Circular]".
 * @throws {TooDeepError} beyond 10,000 levels
 * @throws whatever a getter or a toJSON of the value's own throws
 */
export function toJson(value: unknown): Json {
  if (isPlain(value, 0)) return { text: JSON.stringify(value), circular: false };
  return new Writer().write(value);
}

/**
 * JSON.stringify alone writes it rightly. Nearly every result is of this kind; to look first costs a tenth of the writing
 * (measured), and the Writer takes four times as long.
 */
function isPlain(value: unknown, depth: number): boolean {
  if (typeof value !== 'object') return typeof value !== 'bigint' && typeof value !== 'function';
  if (value === null) return true;
  if (depth > MOST_PLAIN_DEPTH) return false;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) if (!isPlain(value[at], depth + 1)) return false;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Date.prototype) return true;
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in value) if (!isPlain((value as Record<string, unknown>)[key], depth + 1)) return false;
  return true;
}

/** An object that is being written: which of its members comes next. */
class Level {
  next = 0;
  isEmpty = true;

  constructor(
    readonly of: object,
    readonly members: object,
    /** Undefined for an array. */
    readonly keys: readonly string[] | undefined,
    readonly length: number,
  ) {}
}

/** Writes as JSON.stringify does (ECMA-262, SerializeJSONProperty), but for what toJson says. */
class Writer {
  #text = '';
  #circular = false;
  /** What is being written, from the outermost object to the innermost. */
  readonly #levels: Level[] = [];
  readonly #open = new Set<object>();

  write(value: unknown): Json {
    this.#add(undefined, '', value);
    for (let level = this.#levels.at(-1); level; level = this.#levels.at(-1)) {
      if (level.next === level.length) this.#close(level);
      else this.#addNext(level);
    }
    return { text: this.#text === '' ? undefined : this.#text, circular: this.#circular };
  }

  #addNext(level: Level): void {
    const at = level.next++;
    const key = level.keys?.[at] ?? String(at);
    this.#add(level, key, (level.members as Record<string, unknown>)[key]);
  }

  #add(level: Level | undefined, key: string, given: unknown): void {
    const value = isError(given) ? given : afterToJSON(key, given);
    const text = this.#start(value) ?? (level && !level.keys ? 'null' : undefined);
    if (text === undefined) return;
    if (level && !level.isEmpty) this.#text += ',';
    if (level?.keys) this.#text += `${JSON.stringify(key)}:`;
    if (level) level.isEmpty = false;
    this.#text += text;
  }

  /** All of the value's text, or the bracket that opens it, its members being next. */
  #start(value: unknown): string | undefined {
    if (typeof value === 'bigint') return `"${value}"`;
    if (typeof value !== 'object' || value === null) return JSON.stringify(value);
    if (types.isBoxedPrimitive(value)) return types.isBigIntObject(value) ? `"${value.valueOf()}"` : JSON.stringify(value);
    if (this.#open.has(value)) {
      this.#circular = true;
      return '"[Circular]"';
    }
    if (this.#levels.length === MOST_DEPTH) throw new TooDeepError(`The value is nested more than ${MOST_DEPTH} deep.`);
    const level = levelOf(value);
    this.#open.add(value);
    this.#levels.push(level);
    return level.keys ? '{' : '[';
  }

  #close(level: Level): void {
    this.#text += level.keys ? '}' : ']';
    this.#levels.pop();
    this.#open.delete(level.of);
  }
}

function levelOf(value: object): Level {
  const items = Array.isArray(value) ? value : types.isMap(value) || types.isSet(value) ? [...value] : undefined;
  if (items) return new Level(value, items, undefined, items.length);
  const members = isError(value) ? { name: value.name, message: messageWithoutValues(value) ?? value.message } : value;
  const keys = Object.keys(members);
  return new Level(value, members, keys, keys.length);
}

/** Errors of another realm (Jest's, node:vm's) are no instances of our Error. */
const isError = (value: unknown): value is Error =>
  typeof value === 'object' && value !== null && (value instanceof Error || types.isNativeError(value));

function afterToJSON(key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === 'function' ? toJSON.call(value, key) : value;
}
