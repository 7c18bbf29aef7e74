import type pg from 'pg';
import type { JSONData } from '../jobs/helpers.js';
import type { KeptFailure } from '../lib/run-failure-buffer.js';
import { readPool, recorderPool } from '../lib/service-pools.js';

/** An item that a run could not process. */
export interface FailureRow extends pg.QueryResultRow {
  readonly attempt: number;
  readonly seq: number;
  readonly at: Date;
  readonly key: JSONData;
  readonly message: string;
  readonly fingerprint: string;
}

/** Failed items of one kind. */
export interface FailureGroup extends pg.QueryResultRow {
  readonly fingerprint: string;
  readonly count: number;
  /** Of the first one. */
  readonly message: string;
}

/** Keeps failed items of one attempt of a run. Harmless when repeated. */
export async function insertFailures(runId: string, attempt: number, failures: readonly KeptFailure[]): Promise<void> {
  await recorderPool.query({
    text: `insert into batch_job_run_failure ("runId", attempt, seq, key, message, fingerprint)
           select $1, $2, * from unnest($3::int[], $4::jsonb[], $5::text[], $6::text[]) on conflict do nothing`,
    values: [
      runId,
      attempt,
      failures.map(({ seq }) => seq),
      failures.map(({ key }) => key),
      failures.map(({ message }) => message),
      failures.map(({ fingerprint }) => fingerprint),
    ],
  });
}

/** The failed items of the run's newest attempt, in the order they failed. */
export async function listFailures(runId: string): Promise<FailureRow[]> {
  const { rows } = await readPool.query<FailureRow>({
    text: `select failure.attempt, seq, at, key, message, fingerprint from batch_job_run_failure failure
           join batch_job_run run on run.id = failure."runId" and run.attempt = failure.attempt
           where "runId" = $1 order by seq`,
    values: [runId],
  });
  return rows;
}

/** The same by kind, the most frequent first. */
export async function groupFailures(runId: string): Promise<FailureGroup[]> {
  const { rows } = await readPool.query<FailureGroup>({
    text: `select fingerprint, count(*)::int as count, (array_agg(message order by seq))[1] as message
           from batch_job_run_failure failure join batch_job_run run on run.id = failure."runId" and run.attempt = failure.attempt
           where "runId" = $1 group by fingerprint order by count(*) desc, fingerprint`,
    values: [runId],
  });
  return rows;
}
