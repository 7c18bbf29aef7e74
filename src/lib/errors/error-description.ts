import { types } from 'node:util';
import { orUndefined } from './or-undefined.js';
import type { Scrub } from '../personal-data/scrubber.js';
import { isPostgresError, messageWithoutValues } from './postgres-message.js';
import { toSafeJson } from '../json/safe-json.js';
import { shownText } from '../text/shown-text.js';
import { framesOf } from './stack-frames.js';

/** What was thrown, as a run's row and the log keep it: plain strings, finite and clean. */
export interface ErrorDescription {
  readonly name: string;
  readonly message: string;
  /** Postgres' (23505), Node's (ECONNREFUSED), or whatever the error calls its code. */
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: ErrorDescription;
}

const MOST_NAME_BYTES = 200;
const MOST_MESSAGE_BYTES = 8_192;
const MOST_STACK_BYTES = 16_384;
const MOST_CAUSES = 5;
const MOST_PARTS = 20;

/**
 * Describes whatever was thrown. Never throws. Of an error it takes its name, message, code, stack and causes, and nothing
 * else: other fields may hold what nobody meant to record (a request with its headers, the values of a row).
 * @param scrub what more is to be taken out of its texts, before they are cut
 */
export const describeError = (thrown: unknown, scrub: Scrub = (text) => text): ErrorDescription => describe(thrown, [], scrub);

function describe(thrown: unknown, above: readonly unknown[], scrub: Scrub): ErrorDescription {
  const cut = (text: string, mostBytes: number): string => shownText(text, mostBytes, scrub);
  if (!isErrorLike(thrown)) return { name: 'NonError', message: cut(textOfNonError(thrown, scrub), MOST_MESSAGE_BYTES) };
  const ownText = issuesText(thrown) ?? orUndefined(() => messageWithoutValues(thrown));
  const name = cut(nameOf(thrown), MOST_NAME_BYTES);
  const message = cut(ownText ?? messageOf(thrown, scrub), MOST_MESSAGE_BYTES);
  const code = codeOf(thrown);
  // The stack begins with the message again: Zod's with all issues, over many lines, Postgres' with the values.
  const stack = stackOf(thrown, ownText === undefined ? undefined : `${name}: ${message}`);
  const cause = causeOf(thrown, [...above, thrown], scrub);
  return {
    name, message, ...(code !== undefined && { code: cut(code, MOST_NAME_BYTES) }), ...(stack !== undefined && { stack: cut(stack, MOST_STACK_BYTES) }), ...(cause && { cause }),
  };
}

/** An error, or what passes for one: an error of another realm, a Proxy of one, an object with a message. */
const isErrorLike = (thrown: unknown): thrown is object =>
  typeof thrown === 'object' && thrown !== null && (types.isNativeError(thrown) || typeof read(thrown, 'message') === 'string');

const textOfNonError = (thrown: unknown, scrub: Scrub): string => (typeof thrown === 'string' ? thrown : `${toSafeJson(thrown, scrub) ?? 'undefined'} was thrown`);

function nameOf(error: object): string {
  const name = read(error, 'name');
  if (name === 'error' && isPostgresError(error)) return 'DatabaseError';
  // A class that gives itself no name inherits 'Error'.
  const names = [name === 'Error' ? classNameOf(error) : name, name];
  const known = names.find((each): each is string => typeof each === 'string' && each !== '' && each !== 'Object');
  return known ?? 'Error';
}

function classNameOf(error: object): unknown {
  const constructor = read(error, 'constructor');
  return typeof constructor === 'function' ? read(constructor, 'name') : undefined;
}

function messageOf(error: object, scrub: Scrub): string {
  const message = read(error, 'message');
  const text = typeof message === 'string' ? message : (toSafeJson(message, scrub) ?? '');
  return text === '' ? partsText(error, scrub) : text;
}

/** The message for an AggregateError that has none, such as Node's for a connection that was refused on every address of a host. */
function partsText(error: object, scrub: Scrub): string {
  const errors = read(error, 'errors');
  const parts = orUndefined(() => (Array.isArray(errors) ? (errors as unknown[]).slice(0, MOST_PARTS) : [])) ?? [];
  const messages = parts.map((part) => (isErrorLike(part) ? read(part, 'message') : textOfNonError(part, scrub)));
  return messages.filter((message): message is string => typeof message === 'string').join('; ');
}

/** The issues of a ZodError (by its shape: a job may bring a Zod of its own), on one line. */
function issuesText(error: object): string | undefined {
  if (read(error, 'name') !== 'ZodError') return undefined;
  return orUndefined(() => {
    const issues = read(error, 'issues') as readonly { path: readonly PropertyKey[]; message: string }[];
    if (!Array.isArray(issues)) return undefined;
    const texts = issues.slice(0, MOST_PARTS).map(({ path, message }) => `${path.map(String).join('.') || '(top)'}: ${message}`);
    const more = issues.length > MOST_PARTS ? `; and ${issues.length - MOST_PARTS} more` : '';
    return `${texts.join('; ')}${more}`;
  });
}

function codeOf(error: object): string | undefined {
  const code = read(error, 'code');
  return typeof code === 'string' || typeof code === 'number' ? String(code) : undefined;
}

/** The error's stack, behind `header` instead of its own where one is given. */
function stackOf(error: object, header: string | undefined): string | undefined {
  const stack = read(error, 'stack');
  if (typeof stack !== 'string' || stack === '') return undefined;
  if (header === undefined) return stack;
  const frames = orUndefined(() => framesOf(error)) ?? '';
  return frames === '' ? undefined : header + frames;
}

function causeOf(error: object, above: readonly unknown[], scrub: Scrub): ErrorDescription | undefined {
  const cause = read(error, 'cause');
  if (cause === undefined || cause === null) return undefined;
  if (above.includes(cause)) return { name: 'CircularCause', message: 'The cause is one of the errors above.' };
  if (above.length > MOST_CAUSES) return { name: 'MoreCauses', message: 'Further causes are left out.' };
  return describe(cause, above, scrub);
}

/** A field of an object that may throw when it is looked at. */
const read = (source: object, key: string): unknown => orUndefined(() => (source as Record<string, unknown>)[key]);
