import type pg from 'pg';
import { envConfig } from '../../lib/env-config.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { ServiceError } from '../../lib/errors/service-error.js';
import { auditValues, withAuditEvent } from './audit-event.js';
import type { Claim, Delivery } from './run-claim.js';
import { type NewRun, place } from './run-recorder.js';

const ANOTHER_IS_ACTIVE = "Another run of this job is active, and its config.overlap is 'skip'. Wait for that run, or cancel it.";

/** Starts the run unless another of its job is active; then it is on record as skipped, and elsewhere. */
export async function claimAlone(run: NewRun): Promise<Claim> {
  const { rowCount } = await recorderPool.query({
    text: `with run as (
             insert into batch_job_run (id, "jobName", status, trigger, "isDryRun", body, "requestedBy", "parentRunId", "startedAt", "leaseUntil",
               host, version, "overlapKey", "onlyKeys", "isBodyRedacted", "sealedBody")
             values ($1, $2, 'running', $3, $4, $5, $6, $7, now(), now() + $8 * interval '1 ms', $9, $10, $2, $11, $12, $13)
             on conflict ("overlapKey") where "overlapKey" is not null and status = 'running' do nothing
             returning id, "jobName"
           ), ${withAuditEvent(14)}
           select id from run`,
    values: [run.id, run.jobName, run.trigger, run.isDryRun, run.body, run.requestedBy, run.parentRunId, envConfig().runLease, ...place(), run.onlyKeys,
      run.isBodyRedacted ?? false, run.sealedBody, ...auditValues(run.id, run.audit)],
  });
  return rowCount === 1 ? { claimed: true, id: run.id, attempt: 1 } : recordSkipped(run);
}

interface ActiveRow extends pg.QueryResultRow {
  readonly id: string;
}

/**
 * Records a run that was not to run. Whoever called gets 409, and the id of the run that is active; a scheduler gets 200, for
 * all is as its job's author wanted it, and nobody is to be paged.
 */
export async function recordSkipped(run: NewRun, delivery?: Delivery): Promise<Claim> {
  const active = await recorderPool.query<ActiveRow>({
    text: `select id from batch_job_run where "overlapKey" = $1 and status = 'running'`,
    values: [run.jobName],
  });
  const data = { activeRunId: active.rows[0]?.id ?? null };
  const end = delivery
    ? { httpStatus: 200, result: { skipped: true, ...data }, error: undefined }
    : { httpStatus: 409, result: undefined, error: { name: 'RunSkipped', message: ANOTHER_IS_ACTIVE, detail: ANOTHER_IS_ACTIVE, data } };
  await recorderPool.query({
    text: `with run as (
             insert into batch_job_run (id, "jobName", status, trigger, "isDryRun", body, "requestedBy", "parentRunId", "finishedAt",
               "httpStatus", result, error, "deliveryKey", "scheduledFor", "schedulerJobName", "isBodyRedacted")
             values ($1, $2, 'skipped', $3, $4, $5, $6, $7, now(), $8, $9, $10, $11, $12, $13, $14)
             on conflict do nothing returning id, "jobName"
           ), ${withAuditEvent(15)}
           select id from run`,
    values: [run.id, run.jobName, run.trigger, run.isDryRun, run.body, run.requestedBy, run.parentRunId, end.httpStatus, end.result, end.error,
      delivery?.key, delivery?.scheduledFor, delivery?.schedulerJobName, run.isBodyRedacted ?? false, ...auditValues(run.id, run.audit)],
  });
  return { claimed: false, id: run.id };
}

/** Whether Postgres refused to start a run because another of its job is active. */
export const isOverlap = (error: unknown): boolean => (error as { constraint?: unknown } | null)?.constraint === 'batch_job_run_alone';

/** For whoever asks for a run that cannot be recorded as skipped: it has a row, and that says how it ended. */
export const overlapRefused = (): ServiceError => new ServiceError(409, ANOTHER_IS_ACTIVE);
