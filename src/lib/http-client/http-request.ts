import { setTimeout as delay } from 'node:timers/promises';
import type { JSONData } from '../../jobs/helpers.js';
import type { Fetch } from './checked-fetch.js';
import { DryRunRequest, FetchError } from './fetch-error.js';
import { HttpAttempt, type PreparedRequest } from './http-attempt.js';
import logger from '../logging.js';
import { tryCurrentRun } from '../run-scope.js';

const TAG = 'fetch';

export interface RequestOptions {
  /** Default: GET. */
  method?: string;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  body?: JSONData;
  /** ms that an attempt may take until its answer, and each wait for more of it, may take: 30,000 by default, 300,000 at most. */
  timeout?: number;
  /** How often to try again after 429, a 5xx, or no answer: 3 by default. */
  retries?: number;
  /** Tries again a POST or PATCH too. One that carries an Idempotency-Key header is tried again without this. */
  retryUnsafe?: boolean;
  /** Bytes of the answer's body, decompressed, past which it is refused. */
  maxBytes?: number;
  /** Stops the request, beside the run's own signal. */
  signal?: AbortSignal;
  /** In place of the global fetch (checked-fetch.ts). */
  fetch?: Fetch;
}

/** Node's own client waits no longer (undici's headersTimeout and bodyTimeout). */
const MOST_TIMEOUT = 300_000;
const DEFAULT_TIMEOUT = 30_000;
const DEFAULT_RETRIES = 3;
/** ms. The wait before the n-th retry is random, from nothing to 2^n times the first, and no longer than the longest. */
const FIRST_BACKOFF = 250;
const LONGEST_BACKOFF = 10_000;
/** ms. A system that asks for a longer pause than this is not tried again: the run fails, and its caller may come back. */
const LONGEST_RETRY_AFTER = 60_000;

/** RFC 9110, 9.2.1: asking changes nothing. */
const SAFE = new Set(['GET', 'HEAD']);
/** RFC 9110, 9.2.2: asking twice is as good as asking once. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** @throws {TypeError} for what cannot be sent, without quoting it */
export function prepareRequest(url: string | URL, { method = 'GET', headers = {}, body }: RequestOptions): PreparedRequest {
  const target = URL.canParse(url) ? new URL(url) : undefined;
  if (!target || !/^https?:$/.test(target.protocol)) throw new TypeError('The address of a request must start with http:// or https://');
  if (target.username || target.password) throw new TypeError(`The address of a request to ${target.host} has a password in it; use an Authorization header`);
  const verb = method.toUpperCase();
  const sent = new Headers(body === undefined ? {} : { 'Content-Type': 'application/json' });
  for (const [name, value] of Object.entries(headers)) {
    try {
      sent.set(name, value);
    } catch {
      throw new TypeError(`The header ${JSON.stringify(name)} of a request to ${target.host} cannot be sent as it is`);
    }
  }
  return { url: target, method: verb, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), name: `${verb} ${target.origin}${target.pathname}` };
}

/** Whether the calling run is a dry run and `request` might change something. */
export const isRefusedInDryRun = ({ method }: PreparedRequest): boolean => !SAFE.has(method) && tryCurrentRun()?.isDryRun === true;

/**
 * Sends `request` until `use` has made something of a 2xx answer. After 429, a 5xx or no answer it is sent again, with full
 * jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) or when Retry-After says, if its method
 * is idempotent or `retryUnsafe` is set. The run's signal ends it at once.
 * @param use may fail with a FetchError without a status to have the request sent again
 * @throws {FetchError} and whatever the run was stopped with
 * @throws {DryRunRequest} in a dry run, for any method but GET and HEAD
 */
export async function sendRequest<T>(request: PreparedRequest, options: RequestOptions, use: (answer: HttpAttempt) => Promise<T>): Promise<T> {
  if (isRefusedInDryRun(request)) throw new DryRunRequest(request.name);
  const signals = [tryCurrentRun()?.signal, options.signal].filter((signal) => signal !== undefined);
  const timeout = Math.min(options.timeout ?? DEFAULT_TIMEOUT, MOST_TIMEOUT);
  const mayRepeat = IDEMPOTENT.has(request.method) || request.headers.has('Idempotency-Key') || options.retryUnsafe === true;
  const retries = mayRepeat ? (options.retries ?? DEFAULT_RETRIES) : 0;
  for (let retry = 0; ; retry++) {
    const attempt = new HttpAttempt(request, { timeout, signals, maxBytes: options.maxBytes, fetch: options.fetch });
    try {
      await attempt.send();
      return await use(attempt);
    } catch (error) {
      attempt.close();
      for (const signal of signals) signal.throwIfAborted();
      const pause = error instanceof FetchError && retry < retries ? pauseBefore(error, retry) : undefined;
      if (pause === undefined) throw error;
      logger.warn(`${(error as FetchError).message}; trying again in ${Math.round(pause)} ms (${retry + 1} of ${retries})`, TAG);
      await pauseFor(pause, signals);
    }
  }
}

/** ms to wait before trying again after `error`, or undefined when there is no use in it. */
function pauseBefore({ retryAfter, mayPass }: FetchError, retry: number): number | undefined {
  if (!mayPass) return undefined;
  if (retryAfter !== undefined) return retryAfter <= LONGEST_RETRY_AFTER ? retryAfter : undefined;
  return Math.random() * Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** retry);
}

async function pauseFor(ms: number, signals: readonly AbortSignal[]): Promise<void> {
  const woken = new AbortController();
  const wake = (): void => woken.abort();
  for (const signal of signals) signal.addEventListener('abort', wake, { once: true });
  try {
    await delay(ms, undefined, { signal: woken.signal }).catch(() => undefined);
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', wake);
  }
  for (const signal of signals) signal.throwIfAborted();
}
