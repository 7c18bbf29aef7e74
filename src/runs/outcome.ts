import type { JSONData } from '../jobs/helpers.js';
import { withoutCredentials } from '../lib/text/credentials.js';
import { describeError } from '../lib/errors/error-description.js';
import { toJson } from '../lib/json/json.js';
import { charactersBeforeSecrets, jsonWithoutSecrets } from '../lib/json/json-without-secrets.js';
import type { Scrub, Scrubber } from '../lib/personal-data/scrubber.js';
import { blank, isAcceptable, type Problem, problemOf, retryAfterSeconds } from '../lib/errors/problem.js';
import { RunCancelled, RunInterrupted, RunTimedOut, StopReason } from '../lib/errors/service-error.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import { fitsIn } from '../lib/text/storable-text.js';

/** How the work of a run settled. */
export type Settled = { readonly value: unknown } | { readonly thrown: unknown };

/** A settled run, as its row keeps it and as its caller gets it. */
export interface RunOutcome {
  readonly status: 'succeeded' | 'failed' | 'timed_out' | 'cancelled' | 'interrupted';
  readonly httpStatus: number;
  /** The answer's JSON, whole; undefined when the job returned nothing, or where there is a problem. */
  readonly text: string | undefined;
  readonly problem: Problem | undefined;
  /** Seconds after which the caller may come again, where that is known. */
  readonly retryAfterSeconds: number | undefined;
  /** What the row keeps, ready for Postgres, without secrets and without the personal data of the run's body. */
  readonly result: string | undefined;
  readonly error: string | undefined;
  /** The value held a circle, which was cut. */
  readonly isCircular: boolean;
}

/** A bigger result is sent whole and stored cut. */
const MOST_RESULT_BYTES = 262_144;
const MOST_ERROR_BYTES = 65_536;

/**
 * What `settled` means, whatever was returned or thrown. Pure, and it never throws.
 * @param stopReason why the run was told to stop, if it was: thrown by another run inside it, such a thing is just an error
 * @param scrubber for what the row keeps; the caller gets the whole
 */
export function outcomeOf(settled: Settled, stopReason?: Error, scrubber?: Scrubber): RunOutcome {
  if ('value' in settled) return outcomeOfValue(settled.value, scrubber);
  const { thrown } = settled;
  return outcomeOfError(thrown !== stopReason && isStopReason(thrown) ? new Error('A run inside this one was stopped', { cause: thrown }) : thrown, scrubber);
}

function isStopReason(thrown: unknown): boolean {
  try {
    return thrown instanceof StopReason;
  } catch {
    return false; // A Proxy that throws when it is looked at.
  }
}

function outcomeOfValue(value: unknown, scrubber: Scrubber | undefined): RunOutcome {
  if (value === undefined) return { ...SUCCEEDED, httpStatus: 204 };
  try {
    const { text, circular } = toJson(value);
    if (text === undefined) return { ...SUCCEEDED, httpStatus: 204 };
    return { ...SUCCEEDED, text, result: storedJson(text, MOST_RESULT_BYTES, scrubber), isCircular: circular };
  } catch (error) {
    return outcomeOfError(error, scrubber);
  }
}

/**
 * What is stored of JSON text. One that is cut begins in the clear: so it is shown up to what may be a secret, and of a body with
 * personal data there is only its size.
 */
function storedJson(text: string, mostBytes: number, scrubber: Scrubber | undefined): string {
  if (!fitsIn(text, mostBytes)) return scrubber ? JSON.stringify({ truncated: true, bytes: Buffer.byteLength(text) }) : toStorableJson(text, mostBytes, charactersBeforeSecrets(text));
  // First what Postgres takes: it is nested no deeper than can be walked through.
  const clean = jsonWithoutSecrets(toStorableJson(text, mostBytes));
  return toStorableJson(scrubber ? scrubber.json(clean) : clean, mostBytes);
}

const SUCCEEDED: RunOutcome = {
  status: 'succeeded', httpStatus: 200, text: undefined, problem: undefined, retryAfterSeconds: undefined,
  result: undefined, error: undefined, isCircular: false,
};

function outcomeOfError(thrown: unknown, scrubber: Scrubber | undefined): RunOutcome {
  const problem = sendable(problemOf(thrown));
  const { type: _type, title: _title, status: httpStatus, ...told } = problem;
  // What the caller was told is kept too, so that a repeated delivery can be told the same.
  return {
    ...SUCCEEDED,
    status: statusOf(thrown),
    httpStatus,
    problem,
    retryAfterSeconds: httpStatus === 503 ? retryAfterSeconds(thrown) : undefined,
    error: storedError(thrown, told, scrubber),
  };
}

function statusOf(thrown: unknown): RunOutcome['status'] {
  try {
    if (thrown instanceof RunTimedOut) return 'timed_out';
    if (thrown instanceof RunCancelled) return 'cancelled';
    if (thrown instanceof RunInterrupted) return 'interrupted';
    if (isAcceptable(thrown)) return 'succeeded';
  } catch {
    // A Proxy that throws when it is looked at.
  }
  return 'failed';
}

/** The problem with its data as plain JSON, since a StatusError may carry anything; data that cannot be sent is left out. */
function sendable(problem: Problem): Problem {
  if (problem.data === undefined) return problem;
  try {
    const { text } = toJson(problem.data);
    return { ...problem, data: text === undefined ? undefined : JSON.parse(text) };
  } catch {
    return blank(problem.status);
  }
}

const MOST_FIELD_ERRORS = 100;

/** The error as the row keeps it: whatever must be left out of one that is too long, it says what it was and what the caller was told. */
function storedError(thrown: unknown, { data: toldData, errors, detail }: Partial<Problem>, scrubber: Scrubber | undefined): string {
  const scrub: Scrub = (text) => withoutCredentials(scrubber ? scrubber.text(text) : text);
  const description = describeError(thrown, scrubber?.text);
  const data = toldData === undefined ? undefined : (JSON.parse(storedJson(JSON.stringify(toldData), MOST_ERROR_BYTES, scrubber)) as JSONData);
  const told = detail !== undefined && { detail: scrub(detail) };
  const kept = {
    ...(errors && { errors: errors.slice(0, MOST_FIELD_ERRORS).map(({ path, message, code }) => ({ path: scrub(path), message: scrub(message), code })) }),
    ...(data !== undefined && { data }),
  };
  const whole = JSON.stringify({ ...description, ...told, ...kept });
  if (whole.length <= MOST_ERROR_BYTES / 2) return toStorableJson(whole, MOST_ERROR_BYTES);
  const { cause: _cause, stack: _stack, ...short } = description;
  const note = data === undefined ? undefined : (JSON.parse(toStorableJson(JSON.stringify(data), 8_192)) as unknown);
  return toStorableJson(JSON.stringify({ ...short, ...told, ...kept, ...(note !== undefined && { data: note }) }), MOST_ERROR_BYTES);
}
