import type pg from 'pg';
import { recorderPool } from '../../lib/database/service-pools.js';
import { envConfig } from '../../lib/env-config.js';
import { sqlMayBecome } from './run-status.js';

/** What a run has to say at a beat; how far it is and what it wrote as JSON texts. */
export interface LeaseBeat {
  readonly id: string;
  readonly attempt: number;
  readonly progress?: string | undefined;
  readonly writes?: string | undefined;
  readonly failedItems?: number | undefined;
  readonly asksForKeys?: true | undefined;
}

/** What the database says of a run that this process runs. */
export interface LeaseAnswer extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  /** Somebody asked for the run to stop: who, where that is known. */
  readonly isCancelled: boolean;
  readonly by: string | null;
}

/**
 * Renews the leases of runs and writes what is new of them. A row that somebody holds locked is passed over: it must not cost the other runs
 * theirs.
 * @returns those that are still running as this attempt, and were renewed
 */
export async function renewLeases(beats: readonly LeaseBeat[]): Promise<readonly LeaseAnswer[]> {
  const { runLease } = envConfig();
  const { rows } = await recorderPool.query<LeaseAnswer>({
    text: `update batch_job_run run
           set "leaseUntil" = now() + $4 * interval '1 ms', progress = coalesce(beat.progress, run.progress),
             writes = coalesce(beat.writes, run.writes), "failedItems" = coalesce(beat.failed, run."failedItems"),
             "asksForKeys" = coalesce(beat.asks, run."asksForKeys")
           from unnest($1::uuid[], $2::jsonb[], $3::jsonb[], $5::int[], $6::int[], $7::boolean[]) as beat (id, progress, writes, attempt, failed, asks)
           where run.id = beat.id and run.attempt = beat.attempt and run.status = 'running'
             and run.id = any(array(select id from batch_job_run where id = any($1::uuid[]) and status = 'running' order by id for update skip locked))
           returning run.id, run.attempt, run."cancelRequestedAt" is not null as "isCancelled", run."cancelRequestedBy" as by`,
    values: [
      beats.map(({ id }) => id), beats.map(({ progress }) => progress), beats.map(({ writes }) => writes), runLease, beats.map(({ attempt }) => attempt),
      beats.map(({ failedItems }) => failedItems), beats.map(({ asksForKeys }) => asksForKeys),
    ],
    query_timeout: runLease / 4,
  });
  return rows;
}

/** Those of the runs that are running, as whichever attempt. It waits for no lock. */
export async function findRunning(ids: readonly string[]): Promise<readonly Pick<LeaseAnswer, 'id' | 'attempt'>[]> {
  const { rows } = await recorderPool.query<LeaseAnswer>({
    text: `select id, attempt from batch_job_run where id = any($1::uuid[]) and status = 'running'`,
    values: [ids],
    query_timeout: envConfig().runLease / 4,
  });
  return rows;
}

/** Those of the runs that somebody asked to stop. */
export async function findCancellations(ids: readonly string[]): Promise<readonly LeaseAnswer[]> {
  const { rows } = await recorderPool.query<LeaseAnswer>({
    text: `select id, attempt, true as "isCancelled", "cancelRequestedBy" as by from batch_job_run where id = any($1::uuid[]) and "cancelRequestedAt" is not null`,
    values: [ids],
    query_timeout: envConfig().runLease / 4,
  });
  return rows;
}

/** A run that was taken for lost. */
export interface LostRun extends pg.QueryResultRow {
  readonly id: string;
  readonly jobName: string;
  readonly host: string | null;
}

/**
 * Marks as `lost` every running run, of whichever process, whose lease has passed by the database's clock.
 * @returns those it marked
 */
export async function markLostRuns(): Promise<readonly LostRun[]> {
  const { rows } = await recorderPool.query<LostRun>({
    text: `update batch_job_run set status = 'lost', "finishedAt" = now(), "leaseUntil" = null,
             error = jsonb_build_object('name', 'RunLost', 'message', $1::text)
           where id in (select id from batch_job_run where ${sqlMayBecome('status', 'lost')} and "leaseUntil" < now() order by id for update skip locked)
           returning id, "jobName", host`,
    values: ['The lease passed: the process that ran it died, or lost the database.'],
  });
  return rows;
}
