import type { RunWrites } from '../lib/run-knex/write-totals.js';
import { unreachable } from '../lib/errors/unreachable.js';
import { ServiceError } from '../lib/errors/service-error.js';
import type { RunOutcome, Settled } from './outcome.js';
import type { FinishResult } from './records/finish.js';
import type { Skipped } from './records/skip.js';

/** What asking for a run came to. Whoever asks deals with every kind. */
export type RunResult = FinishedRun | SkippedRun | RunElsewhere;

/** A run that ended here, with its outcome committed, unless `recorded` says otherwise. */
export interface FinishedRun {
  readonly kind: 'finished';
  readonly id: string;
  readonly attempt: number;
  readonly settled: Settled;
  readonly outcome: RunOutcome;
  /** Rows that it wrote, by table and verb; undefined for a run that never used the database. */
  readonly writes: RunWrites | undefined;
  /** How many items failed, in all attempts since it last began anew. */
  readonly failedItems: number;
  /** `unknown`: the database did not take the outcome in time. `fenced`: the row was no longer this attempt's. */
  readonly recorded: FinishResult | 'unknown';
}

/** It was not run, since another run of its job is active; that is on record. */
export type SkippedRun = Skipped;

/** The same delivery is running, or has run, here or at another replica: that run's row says how it ends. */
export interface RunElsewhere {
  readonly kind: 'elsewhere';
  readonly id: string;
}

/** A run could not start beside another one of its job. 409. */
export class RunSkipped extends ServiceError {
  override readonly name = 'RunSkipped';

  constructor(
    /** The row that says so. */
    readonly runId: string,
    /** The run that was in its way; undefined when that has ended meanwhile. */
    readonly activeRunId: string | undefined,
    detail: string,
  ) {
    super(409, detail, { data: { activeRunId: activeRunId ?? null } });
  }
}

/** The run that ended here, for a caller that cannot be answered with another one. @throws {RunSkipped} 409 where it was not to run */
export function onlyFinished(result: RunResult): FinishedRun {
  switch (result.kind) {
    case 'finished':
      return result;
    case 'skipped':
      throw new RunSkipped(result.id, result.activeRunId, result.detail);
    case 'elsewhere':
      // Only a delivery can be elsewhere; or a claim whose row was taken for lost before its answer came.
      throw new ServiceError(503, `The run ${result.id} was started, and is not this process's any more. Look at it before you start it again.`, { retryAfterSeconds: 5 });
    default:
      return unreachable(result);
  }
}
