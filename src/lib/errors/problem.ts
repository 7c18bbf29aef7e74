import { STATUS_CODES } from 'node:http';
import { AcceptableError, StatusError, type JSONData } from '../../jobs/helpers.js';
import { type FieldError, ServiceError } from './service-error.js';

/** RFC 9457: what an answer that is no success says, as application/problem+json. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  /** The run's own address, where there is a run. */
  readonly instance?: string;
  readonly runId?: string;
  /** What a StatusError carried, when it was no string; or what a program wants to know of a refusal of the service. */
  readonly data?: JSONData;
  /** What is wrong with the body, field by field. */
  readonly errors?: readonly FieldError[];
}

const OPAQUE = 'The job failed. Its run says how.';

/**
 * Any thrown thing as what the caller may know of it. Pure, and it never throws: `error` may be a Proxy that does.
 * Errors that are neither ours, nor a StatusError, nor Zod's answer 500 and tell the caller nothing.
 */
export function problemOf(error: unknown): Problem {
  try {
    if (error instanceof StatusError) return problemOfStatusError(error);
    if (error instanceof ServiceError) return problemOfServiceError(error);
    if (isZodError(error)) return { ...blank(400), detail: 'The body does not fit.', errors: fieldErrors(error.issues.slice(0, MOST_ISSUES)) };
    if (isPoolExhausted(error)) return { ...blank(503), detail: 'No database connection came free in time. Send it again.' };
  } catch {
    // What cannot even be looked at is like any other unknown error.
  }
  return { ...blank(500), detail: OPAQUE };
}

/** When a caller that got 503 for `error` may come again, in seconds. Never throws. */
export function retryAfterSeconds(error: unknown): number {
  try {
    if (error instanceof ServiceError) return error.details.retryAfterSeconds ?? DEFAULT_RETRY_AFTER;
  } catch {
    // A Proxy that throws when it is looked at.
  }
  return DEFAULT_RETRY_AFTER;
}

const DEFAULT_RETRY_AFTER = 5;

/** A problem with nothing but its status; `about:blank` says that the status is all there is to it (RFC 9457, 4.2.1). */
export const blank = (status: number): Problem => ({ type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status });

/** The status that `error` answers with, as far as it is allowed one: 400 to 599, an AcceptableError also 200 to 299. */
function honoured(error: StatusError): number | undefined {
  const { status } = error;
  if (!Number.isInteger(status)) return undefined;
  const fits = (status >= 400 && status <= 599) || (error instanceof AcceptableError && status >= 200 && status <= 299);
  return fits ? status : undefined;
}

/** An AcceptableError whose status is honoured: the run is no failure. */
export const isAcceptable = (error: unknown): boolean => error instanceof AcceptableError && honoured(error) !== undefined;

function problemOfStatusError(error: StatusError): Problem {
  const status = honoured(error);
  if (status === undefined) return { ...blank(500), detail: OPAQUE };
  const { data } = error;
  if (data === undefined || data === null) return blank(status);
  return typeof data === 'string' ? { ...blank(status), detail: data } : { ...blank(status), data };
}

const problemOfServiceError = ({ status, message, details }: ServiceError): Problem => ({
  ...blank(status),
  detail: message,
  ...(details.data !== undefined && { data: details.data }),
  ...(details.errors && { errors: details.errors }),
});

interface ZodIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code?: string;
}

/** By its shape: a job may bring a Zod of its own. */
const isZodError = (error: unknown): error is { issues: readonly ZodIssue[] } =>
  error instanceof Error && error.name === 'ZodError' && Array.isArray((error as { issues?: unknown }).issues);

/** knex gave up waiting for a connection: other runs hold them all. It passes, so a scheduler should come again. */
const isPoolExhausted = (error: unknown): boolean =>
  // A query that passed its author's own .timeout() has the same name.
  error instanceof Error && error.name === 'KnexTimeoutError' && /acquiring a connection/.test(error.message);

/** As many are told. */
const MOST_ISSUES = 100;

/** Zod's issues, without the values that were received. */
export const fieldErrors = (issues: readonly ZodIssue[]): FieldError[] =>
  issues.map(({ path, message, code }) => ({ path: path.map(String).join('.').slice(0, MOST_PATH), message: message.slice(0, MOST_MESSAGE), code }));

/** Characters. A path may hold names that the caller made up, and a message lists all keys that are not known. */
const MOST_PATH = 1_000;
const MOST_MESSAGE = 2_000;
