import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { envConfig } from '../../lib/env-config.js';
import logger from '../../lib/logging.js';
import { mayPass } from '../../lib/errors/postgres-fault.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { auditValues, withAuditEvent } from './audit-event.js';
import type { KeptBody } from '../kept-body.js';
import type { Claim, Delivery } from './run-claim.js';
import { isOverlap } from './run-overlap.js';
import { type NewRun, place } from './run-recorder.js';
import { BEGIN_ANEW } from './run-restart.js';
import { redeliverable } from './run-status.js';

const TAG = 'run-delivery';

/**
 * Starts the delivery's run, once: as a new row, or as a new attempt of the row of an earlier delivery of the same key
 * that ended badly. However many replicas get it at the same moment, one claims it.
 * @param seal seals the run's body for the row that it is stored in, since it opens for the id of that row alone
 * @param isAlone it may not run beside another run of its job
 * @returns undefined when it is alone and another is active
 */
export async function claimDelivery(run: NewRun, delivery: Delivery, seal: KeptBody['seal'], isAlone = false): Promise<Claim | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return (await insertDelivered(run, delivery, isAlone)) ?? (await restartDelivered(run, delivery, seal)) ?? (await findDelivered(run, delivery, isAlone));
    } catch (error) {
      if (isOverlap(error)) return findDelivered(run, delivery, isAlone);
      // A start that was committed, and whose answer was lost, is found by its claim. One more try is enough for a connection that broke while idle.
      if (tries > 1 || !mayPass(error)) {
        void abandon(run.id);
        throw error;
      }
    }
  }
}

interface IdRow extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  readonly claim?: string | null;
}

const first = async (text: string, values: unknown[]): Promise<IdRow | undefined> =>
  (await recorderPool.query<IdRow>({ text, values })).rows[0];

async function insertDelivered(run: NewRun, delivery: Delivery, isAlone: boolean): Promise<Claim | undefined> {
  const row = await first(
    `with run as (
       insert into batch_job_run (id, "jobName", status, trigger, "isDryRun", body, "requestedBy", "startedAt", "leaseUntil",
         host, version, "deliveryKey", "scheduledFor", "schedulerJobName", claim, "overlapKey", "isBodyRedacted", "sealedBody")
       values ($1, $2, 'running', $3, $4, $5, $6, now(), now() + $7 * interval '1 ms', $8, $9, $10, $11, $12, $1, $13, $14, $15)
       on conflict do nothing returning id, attempt, "jobName"
     ), ${withAuditEvent(16)}
     select id, attempt from run`,
    [run.id, run.jobName, run.trigger, run.isDryRun, run.body, run.requestedBy, envConfig().runLease, ...place(),
      delivery.key, delivery.scheduledFor, delivery.schedulerJobName, isAlone ? run.jobName : null, run.isBodyRedacted ?? false, run.sealedBody,
      ...auditValues(run.id, run.audit)],
  );
  return row && { claimed: true, id: row.id, attempt: row.attempt };
}

async function restartDelivered(run: NewRun, delivery: Delivery, seal: KeptBody['seal']): Promise<Claim | undefined> {
  const ended = await first('select id, attempt from batch_job_run where "deliveryKey" = $1 and status = any($2)', [delivery.key, redeliverable]);
  if (!ended) return undefined;
  const row = await first(
    `with run as (
       update batch_job_run
       set status = 'running', attempt = attempt + 1, "requestedBy" = $11, "isDryRun" = $3, body = $4, result = null, error = null, "httpStatus" = null,
         "startedAt" = now(), "finishedAt" = null, "leaseUntil" = now() + $5 * interval '1 ms', host = $6, version = $7,
         "cancelRequestedAt" = null, "cancelRequestedBy" = null, progress = null, writes = null, claim = $8,
         "isBodyRedacted" = $9, "sealedBody" = $10
       where id = $1 and status = any($2) returning id, attempt, "jobName"
     ), ${BEGIN_ANEW}, ${withAuditEvent(12)}
     select id, attempt from run`,
    [ended.id, redeliverable, run.isDryRun, run.body, envConfig().runLease, ...place(), run.id, run.isBodyRedacted ?? false, seal(ended.id), run.requestedBy,
      ...auditValues(run.id, run.audit)],
  );
  return row && { claimed: true, id: row.id, attempt: row.attempt };
}

async function findDelivered(run: NewRun, delivery: Delivery, isAlone: boolean): Promise<Claim | undefined> {
  const row = await first('select id, attempt, claim from batch_job_run where "deliveryKey" = $1', [delivery.key]);
  if (!row && isAlone) return undefined;
  if (!row) throw new Error('the run of this delivery was deleted while it was looked up');
  // A run's id is made for this call alone: whatever has it as its claim was started by this call, whose answer was then lost.
  return row.claim === run.id ? { claimed: true, id: row.id, attempt: row.attempt } : { claimed: false, id: row.id };
}

/** What was started without anybody knowing is a failure, so that the next delivery starts it again. Never rejects. */
async function abandon(claim: string): Promise<void> {
  const error = JSON.stringify({ name: 'RunNotStarted', message: 'The answer to its start was lost, so the job was not run.' });
  for (const until = performance.now() + envConfig().outcomeDeadline; performance.now() < until; await delay(500)) {
    try {
      await first(`update batch_job_run set status = 'failed', error = $2, "finishedAt" = now(), "leaseUntil" = null
                   where claim = $1 and status = 'running' returning id, attempt, claim`, [claim, error]);
      return;
    } catch (fault) {
      logger.warn('A delivery whose start is in doubt could not be cleared up yet', TAG, { fault });
    }
  }
}
