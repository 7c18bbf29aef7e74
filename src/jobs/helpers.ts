import type { Request } from 'express';

/** What JSON can hold. A key whose value is undefined is left out, as JSON.stringify leaves it out. */
export type JSONData = string | number | boolean | null | JSONData[] | { [key: string]: JSONData | undefined };

/**
 * The default export of a job file. What it resolves to is the answer's JSON; nothing at all answers 204. Throw a
 * StatusError for an answer of your own; whatever else is thrown is an opaque 500, recorded in full with the run.
 */
export type ScriptHandler = (req: Request) => Promise<JSONData | undefined | void>;

/**
 * Ends the run as `failed`, and the caller gets `status` with `data` in the problem (RFC 9457): a string as its
 * `detail`, anything else as its `data`. Only whole numbers from 400 to 599 are honoured; another status answers 500.
 */
export class StatusError extends Error {
  override readonly name: string = 'StatusError';

  constructor(
    readonly status: number,
    readonly data: JSONData,
    options?: ErrorOptions,
  ) {
    super(typeof data === 'string' ? data : `status ${status}`, options);
  }
}

/**
 * A StatusError that is no failure ("already done", "nothing to do"): the caller gets `status`, which may also be 200
 * to 299, and the run is `succeeded`.
 */
export class AcceptableError extends StatusError {
  override readonly name = 'AcceptableError';
}

/** What a job file may say of itself: `export const config: JobConfig = {...}`. All of it is optional. */
export interface JobConfig {
  /** One sentence for the catalogue. */
  description?: string;
  /** The longest a run may take, such as '90s', '15m' or '2h'; then it is `timed_out`. Default: RUN_TIMEOUT. */
  timeout?: string;
  /** While another run of the job is active: 'allow' (default) runs beside it, 'skip' answers 409 and records the run as `skipped`. */
  overlap?: 'allow' | 'skip';
  /**
   * When the job is meant to run, for the catalogue and for whoever sets up its caller: unix-cron, as Google Cloud Scheduler
   * has it, and an IANA time zone (default: 'Etc/UTC').
   */
  schedule?: { cron: string; timeZone?: string };
  /** Only these of AUTH_CALLERS may run it over HTTP: e-mails, and domains as '@example.com'. Needs AUTH=google. */
  callers?: readonly string[];
  /**
   * 'exact': what the job's transactions write is counted by Postgres's own counters, which see triggers, functions, cascades, MERGE and
   * the two halves of an upsert, for about half a millisecond a transaction. Default: by the answers to its statements (docs/the-runs-database.md).
   */
  countWrites?: 'exact';
}
