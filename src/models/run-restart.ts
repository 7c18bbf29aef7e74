import type pg from 'pg';
import type { JSONData } from '../jobs/helpers.js';
import { envConfig } from '../lib/env-config.js';
import { recorderPool } from '../lib/service-pools.js';
import { place } from './run-recorder.js';
import { restartable } from './run-status.js';

/** What a person asks for of a run that has ended badly. */
export interface Restart {
  readonly id: string;
  /** Go on from the cursor, or begin anew. */
  readonly keepCursor: boolean;
  /** Only the items that failed in the last attempt. */
  readonly onlyFailed: boolean;
  readonly requestedBy: string | undefined;
}

/** The next attempt of a run, which is now the caller's to run. */
export interface RestartClaim {
  readonly id: string;
  readonly attempt: number;
  readonly cursor: JSONData | undefined;
  readonly onlyKeys: readonly JSONData[] | undefined;
}

interface RestartRow extends pg.QueryResultRow {
  readonly attempt: number;
  readonly cursor: JSONData | null;
  readonly keys: readonly JSONData[] | null;
}

/**
 * One statement, so that of two persons who ask at the same moment one gets the run. The cursor becomes the new attempt's:
 * a former one that still works can commit no batch any more.
 */
const RESTART = `
  with run as (
    update batch_job_run
    set status = 'running', attempt = attempt + 1, "requestedBy" = coalesce($5, "requestedBy"), result = null, error = null,
      "httpStatus" = null, progress = null, writes = null, "startedAt" = now(), "finishedAt" = null,
      "leaseUntil" = now() + $4 * interval '1 ms', "cancelRequestedAt" = null, "cancelRequestedBy" = null, host = $6, version = $7
    where id = $1 and status = any($2) returning id, attempt
  ), saved as (
    insert into batch_job_run_cursor as saved ("runId", attempt) select id, attempt from run
    on conflict ("runId") do update set attempt = excluded.attempt, cursor = case when $3 then saved.cursor end
    returning cursor
  )
  select run.attempt, saved.cursor, (
    select jsonb_agg(failure.key order by failure.seq) from batch_job_run_failure failure
    where failure."runId" = run.id and failure.attempt = run.attempt - 1
  ) as keys
  from run, saved`;

/** Makes the run's next attempt the caller's. Undefined when the run is not one that can be started again (any more). */
export async function claimRestart({ id, keepCursor, onlyFailed, requestedBy }: Restart): Promise<RestartClaim | undefined> {
  const { rows } = await recorderPool.query<RestartRow>({
    text: RESTART,
    values: [id, restartable, keepCursor, envConfig().runLease, requestedBy, ...place()],
  });
  const [row] = rows;
  return row && { id, attempt: row.attempt, cursor: row.cursor ?? undefined, onlyKeys: onlyFailed ? (row.keys ?? []) : undefined };
}
