import type pg from 'pg';
import { envConfig } from '../lib/env-config.js';
import { mayPass } from '../lib/postgres-fault.js';
import { recorderPool } from '../lib/service-pools.js';
import { type NewRun, place } from './run-recorder.js';
import { restartable } from './run-status.js';

/** One delivery of a scheduler's, told apart from the next by its key. The same key never runs twice at once. */
export interface Delivery {
  readonly key: string;
  readonly scheduledFor: Date;
  /** What the scheduler calls its job; it should be the slug. */
  readonly schedulerJobName: string;
}

/** `claimed`: it is the caller's to run. Otherwise another has it, or had it: its run is the answer. */
export type Claim = { readonly claimed: true; readonly id: string; readonly attempt: number } | { readonly claimed: false; readonly id: string };

/**
 * Starts the delivery's run, once: as a new row, or as a new attempt of the row of an earlier delivery of the same key
 * that ended badly. However many replicas get it at the same moment, one claims it.
 */
export async function claimDelivery(run: NewRun, delivery: Delivery): Promise<Claim> {
  for (let tries = 1; ; tries++) {
    try {
      return (await insertDelivered(run, delivery)) ?? (await restartDelivered(run, delivery)) ?? (await findDelivered(run, delivery));
    } catch (error) {
      // A repeated insert finds its own row; one repeated try is enough for a connection that broke while idle.
      if (tries > 1 || !mayPass(error)) throw error;
    }
  }
}

interface IdRow extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
}

const first = async (text: string, values: unknown[]): Promise<IdRow | undefined> =>
  (await recorderPool.query<IdRow>({ text, values })).rows[0];

async function insertDelivered(run: NewRun, delivery: Delivery): Promise<Claim | undefined> {
  const row = await first(
    `insert into batch_job_run (id, "jobName", status, trigger, "isDryRun", body, "requestedBy", "startedAt", "leaseUntil",
       host, version, "deliveryKey", "scheduledFor", "schedulerJobName")
     values ($1, $2, 'running', $3, $4, $5, $6, now(), now() + $7 * interval '1 ms', $8, $9, $10, $11, $12)
     on conflict do nothing returning id, attempt`,
    [run.id, run.jobName, run.trigger, run.isDryRun, run.body, run.requestedBy, envConfig().runLease, ...place(),
      delivery.key, delivery.scheduledFor, delivery.schedulerJobName],
  );
  return row && { claimed: true, id: row.id, attempt: row.attempt };
}

async function restartDelivered(run: NewRun, delivery: Delivery): Promise<Claim | undefined> {
  const row = await first(
    `update batch_job_run
     set status = 'running', attempt = attempt + 1, "isDryRun" = $3, body = $4, result = null, error = null, "httpStatus" = null,
       "startedAt" = now(), "finishedAt" = null, "leaseUntil" = now() + $5 * interval '1 ms', host = $6, version = $7
     where "deliveryKey" = $1 and status = any($2) returning id, attempt`,
    [delivery.key, restartable, run.isDryRun, run.body, envConfig().runLease, ...place()],
  );
  return row && { claimed: true, id: row.id, attempt: row.attempt };
}

async function findDelivered(run: NewRun, delivery: Delivery): Promise<Claim> {
  const row = await first('select id, attempt from batch_job_run where "deliveryKey" = $1', [delivery.key]);
  if (!row) throw new Error('the run of this delivery was deleted while it was looked up');
  // The id is made for this call alone: a row that has it was inserted by this call, whose answer was then lost.
  return row.id === run.id ? { claimed: true, id: row.id, attempt: row.attempt } : { claimed: false, id: row.id };
}
