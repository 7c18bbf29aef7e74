import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import type { JSONData } from '../jobs/helpers.js';
import type { Scrubber } from './personal-data/scrubber.js';
import type { RunDatabase } from './run-knex/run-database.js';

/** How far a run is. Each report is whole: what it does not hold is not so (any more). */
export interface RunProgress {
  processed?: number;
  succeeded?: number;
  failed?: number;
  /** How many there are, about. */
  total?: number;
  /** Items per second. */
  rate?: number;
  etaSeconds?: number;
  /** Why it waits at present. */
  paused?: string;
}

/** One item that a run could not process. */
export interface FailedItem {
  /** What the item can be found by, such as its row's id; no personal data. */
  readonly key: JSONData;
  readonly error: unknown;
}

/** The run that the calling code belongs to, as its job may see it. */
export interface CurrentRun {
  /** UUID v7; the run's row and GET /runs/<id>. */
  readonly id: string;
  readonly jobName: string;
  /** 1 for the first, one more for each time the same run was started again. */
  readonly attempt: number;
  readonly isDryRun: boolean;
  /** Aborted when the run should stop: its timeout, a cancellation, the service's own stop, a lost lease. */
  readonly signal: AbortSignal;
  /** When the run's timeout ends it. */
  readonly deadline: Date;
  /** Where an earlier attempt of this run got to, when it is resumed: what was last given to checkpoint. */
  readonly cursor: JSONData | undefined;
  /**
   * The keys of the items to process, when just those that failed are to be tried again; undefined for all items. A job that never reads
   * it cannot have just its failed items retried: that is refused.
   */
  readonly onlyKeys: readonly JSONData[] | undefined;
  /** Says how far the run is. Cheap: it is written at most once a second, and the last one always. */
  progress(progress: RunProgress): void;
  /**
   * Saves where the run has got to. In the transaction `trx` it commits, or is rolled back, with what the job wrote there.
   * @throws {Error} when the run is no longer this attempt's, so that its transaction must not commit
   */
  checkpoint(cursor: JSONData, trx?: Knex.Transaction): Promise<void>;
  /**
   * Keeps an item that failed with the run: GET /runs/<id>/failures, and a retry of just these. It is written by the next
   * checkpoint, or at the run's end; with `trx`, by a checkpoint in that transaction alone, and so if it commits. A run that is resumed
   * forgets those that were given after its last checkpoint, since it does their items again.
   */
  failure(item: FailedItem, trx?: Knex.Transaction): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** One line of a run's log. */
export interface LogLine {
  readonly at: Date;
  readonly level: LogLevel;
  readonly tag: string | undefined;
  readonly message: string;
  /** JSON text, or undefined where the call carried no data. */
  readonly data: string | undefined;
}

/** A run, and where the lines that are logged inside it go. */
export interface RunScope {
  readonly run: CurrentRun;
  /** The trace of the request that started the run (Google Cloud's, or W3C's), for the log. */
  readonly trace?: string | undefined;
  /** What the run has of the database. */
  readonly database: RunDatabase;
  /** Keeps the personal data of the run's body out of its log. */
  readonly scrubber?: Scrubber | undefined;
  /** Why no run can be started in it; undefined where one can. */
  readonly whyNoRuns?: string | undefined;
  keepLine(line: LogLine): void;
}

const scopes = new AsyncLocalStorage<RunScope>();

/** Runs `work` inside `scope`: whatever it awaits, and whatever it leaves behind, belongs to that run. */
export const runInScope = <T>(scope: RunScope, work: () => T): T => scopes.run(scope, work);

/** Runs `work` as if no run had asked for it: what outlives a run, such as a pooled socket, must not carry its scope. */
export const runOutsideScope = <T>(work: () => T): T => scopes.exit(work);

/** The scope of the calling code, or undefined outside any run. For the service's own files; jobs ask currentRun(). */
export const tryRunScope = (): RunScope | undefined => scopes.getStore();

/** The run of the calling code, or undefined outside any run (a script, a test of a plain function). */
export const tryCurrentRun = (): CurrentRun | undefined => scopes.getStore()?.run;

/** The run of the calling code. @throws {Error} outside any run */
export function currentRun(): CurrentRun {
  const run = tryCurrentRun();
  if (!run) throw new Error('currentRun() was called outside a run; use tryCurrentRun() where there may be none');
  return run;
}
