import type pg from 'pg';
import type { JSONData } from '../../jobs/helpers.js';
import { envConfig } from '../../lib/env-config.js';
import { newRunId } from './run-id.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { type AuditedAct, auditValues, withAuditEvent } from './audit-event.js';
import { place } from './run-recorder.js';
import { restartable } from './run-status.js';

/** What a person asks for of a run that has ended badly. */
export interface Restart {
  readonly id: string;
  /** Go on from the cursor, or begin anew. */
  readonly keepCursor: boolean;
  readonly requestedBy: string | undefined;
}

/** The next attempt of a run, which is now the caller's to run. */
export interface RestartClaim {
  readonly id: string;
  readonly attempt: number;
  readonly cursor: JSONData | undefined;
  /** A run that was started for some items alone keeps to them. */
  readonly onlyKeys: readonly JSONData[] | undefined;
}

interface RestartRow extends pg.QueryResultRow {
  readonly attempt: number;
  readonly cursor: JSONData | null;
  readonly onlyKeys: readonly JSONData[] | null;
}

/**
 * Of a statement whose `run` is the next attempt of a run: the cursor becomes that attempt's, so that a former one which still
 * works can commit no batch any more; and where the attempt begins anew, nothing is left of how far the former ones got.
 */
const takeOver = (keepsPlace: string): string => `
  saved as (
    insert into batch_job_run_cursor as saved ("runId", attempt) select id, attempt from run
    on conflict ("runId") do update set attempt = excluded.attempt, cursor = case when ${keepsPlace} then saved.cursor end
    returning cursor
  ), forgotten as (
    delete from batch_job_run_failure failure using run where failure."runId" = run.id and not ${keepsPlace}
  )`;

export const BEGIN_ANEW = takeOver('false');

/** One statement, so that of two persons who ask at the same moment one gets the run. */
const RESTART = `
  with run as (
    update batch_job_run
    set status = 'running', attempt = attempt + 1, "requestedBy" = $5, "isDryRun" = $8, result = null, error = null,
      "httpStatus" = null, progress = null, writes = null, "startedAt" = now(), "finishedAt" = null,
      "leaseUntil" = now() + $4 * interval '1 ms', "cancelRequestedAt" = null, "cancelRequestedBy" = null, host = $6, version = $7
    where id = $1 and status = any($2) returning id, attempt, "jobName", "onlyKeys"
  ), ${takeOver('$3::boolean')}, ${withAuditEvent(9)}
  select run.attempt, saved.cursor, run."onlyKeys" from run, saved`;

/** Makes the run's next attempt the caller's. Undefined when the run is not one that can be started again (any more). */
export async function claimRestart({ id, keepCursor, requestedBy }: Restart, isDryRun: boolean, audit: AuditedAct | undefined): Promise<RestartClaim | undefined> {
  const { rows } = await recorderPool.query<RestartRow>({
    text: RESTART,
    values: [id, restartable, keepCursor, envConfig().runLease, requestedBy, ...place(), isDryRun, ...auditValues(newRunId(), audit)],
  });
  const [row] = rows;
  return row && { id, attempt: row.attempt, cursor: row.cursor ?? undefined, onlyKeys: row.onlyKeys ?? undefined };
}
