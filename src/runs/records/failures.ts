import type { Knex } from 'knex';
import type pg from 'pg';
import type { JSONData } from '../../jobs/helpers.js';
import { logPool, readPool } from '../../lib/database/service-pools.js';

/** A failed item as it is kept, numbered from 0. */
export interface KeptFailure {
  readonly seq: number;
  /** JSON text. */
  readonly key: string;
  readonly message: string;
  /** The same for failures of the same kind. */
  readonly fingerprint: string;
}

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
  /** What the first of them says. */
  readonly message: string;
}

const insert = (mark: (place: number) => string): string => `
  insert into batch_job_run_failure ("runId", attempt, seq, key, message, fingerprint)
  select ${mark(1)}::uuid, ${mark(2)}::int, * from unnest(${mark(3)}::int[], ${mark(4)}::jsonb[], ${mark(5)}::text[], ${mark(6)}::text[])
  on conflict do nothing`;

/** Keeps failed items of one attempt of a run: in `trx`, if that commits, or at once. Harmless when repeated. */
export async function insertFailures(runId: string, attempt: number, failures: readonly KeptFailure[], trx?: Knex.Transaction): Promise<void> {
  const values = [
    runId,
    attempt,
    failures.map(({ seq }) => seq),
    failures.map(({ key }) => key),
    failures.map(({ message }) => message),
    failures.map(({ fingerprint }) => fingerprint),
  ];
  if (trx) await trx.raw(insert(() => '?'), values as Knex.RawBinding[]);
  else await logPool.query({ text: insert((place) => `$${place}`), values });
}

/** How many failed items of one attempt of a run are kept. */
export async function countFailures(runId: string, attempt: number): Promise<number> {
  const { rows } = await logPool.query<{ count: number }>({
    text: 'select count(*)::int as count from batch_job_run_failure where "runId" = $1 and attempt = $2',
    values: [runId, attempt],
  });
  return rows[0]!.count;
}

/** The failed items of the run, in all attempts since it last began anew, in the order they failed. */
export async function listFailures(runId: string): Promise<FailureRow[]> {
  const { rows } = await readPool.query<FailureRow>({
    text: `select attempt, seq, at, key, message, fingerprint from batch_job_run_failure where "runId" = $1 order by attempt, seq`,
    values: [runId],
  });
  return rows;
}

/** The same by kind, the most frequent first. */
export async function groupFailures(runId: string): Promise<FailureGroup[]> {
  const { rows } = await readPool.query<FailureGroup>({
    text: `select fingerprint, count(*)::int as count, (array_agg(message order by attempt, seq))[1] as message
           from batch_job_run_failure where "runId" = $1 group by fingerprint order by count(*) desc, fingerprint`,
    values: [runId],
  });
  return rows;
}
