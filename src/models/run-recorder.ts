import os from 'node:os';
import type pg from 'pg';
import { envConfig } from '../lib/env-config.js';
import { recorderPool } from '../lib/service-pools.js';
import { WriteBatcher } from '../lib/write-batcher.js';
import { type AuditedAct, cleanAuditText } from './audit-event.js';
import type { RunStatus } from './run-status.js';

/** Who or what started a run. */
export type RunTrigger = 'http' | 'scheduler' | 'schedule' | 'cli' | 'dashboard' | 'queue' | 'run';

/** A run's row as it is when the run starts. */
export interface NewRun {
  readonly id: string;
  readonly jobName: string;
  readonly trigger: RunTrigger;
  readonly isDryRun: boolean;
  /** JSON text that Postgres takes (see toStorableJson), or undefined for none. */
  readonly body?: string | undefined;
  /** Something was taken out of the body; and the whole of it, encrypted, where there is a key. */
  readonly isBodyRedacted?: boolean;
  readonly sealedBody?: Buffer | undefined;
  readonly requestedBy?: string | undefined;
  readonly parentRunId?: string | undefined;
  /** JSON text of the keys that it is to keep to, or undefined for all. */
  readonly onlyKeys?: string | undefined;
  /** For the audit trail, which is written with the row. */
  readonly audit?: AuditedAct | undefined;
}

/** A run's end. */
export interface Finish {
  readonly id: string;
  readonly attempt: number;
  readonly status: RunStatus;
  readonly httpStatus: number | undefined;
  /** JSON texts that Postgres takes, or undefined for none. */
  readonly result: string | undefined;
  readonly error: string | undefined;
  /** How far it got and what it wrote, where it said so; else what the row has is left. */
  readonly progress?: string | undefined;
  readonly writes?: string | undefined;
  /** Its sealed body stays although it succeeded: items of it failed, and may be tried again. */
  readonly keepsBody?: boolean;
}

/** `fenced`: the row was no longer this attempt's to finish, and was left as it is. */
export type FinishResult = 'recorded' | 'fenced';

/** Where a run is: kept with it, so that a lost one can be looked for in the right place. */
export const place = (): readonly [host: string, version: string | null] => (ownPlace ??= [os.hostname().slice(0, 255), envConfig().version ?? null]);

let ownPlace: readonly [string, string | null] | undefined;

const INSERT = `
  with run as (
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::jsonb[], $6::text[], $7::uuid[], $11::jsonb[], $12::boolean[], $13::bytea[],
      $14::text[], $15::text[], $16::boolean[], $17::text[])
      as run (id, job, trigger, dry, body, "by", parent, keys, redacted, sealed, act, caller, verified, source)
  ), event as (
    insert into audit_event (id, action, outcome, caller, "isVerified", source, "jobName", "runId")
    select id, act, 'allowed', caller, verified, source, job, id from run where act is not null
    on conflict (id) do nothing
  )
  insert into batch_job_run
    (id, "jobName", status, trigger, "isDryRun", body, "requestedBy", "parentRunId", "startedAt", "leaseUntil", host, version, "onlyKeys",
      "isBodyRedacted", "sealedBody")
  select id, job, 'running', trigger, dry, body, "by", parent, now(), now() + $8 * interval '1 ms', $9, $10, keys, redacted, sealed
  from run
  on conflict (id) do nothing`;

const inserts = new WriteBatcher<NewRun, void>({
  async write(runs) {
    await recorderPool.query({
      name: 'insert-runs',
      text: INSERT,
      values: [
        runs.map(({ id }) => id),
        runs.map(({ jobName }) => jobName),
        runs.map(({ trigger }) => trigger),
        runs.map(({ isDryRun }) => isDryRun),
        runs.map(({ body }) => body),
        runs.map(({ requestedBy }) => requestedBy),
        runs.map(({ parentRunId }) => parentRunId),
        envConfig().runLease,
        ...place(),
        runs.map(({ onlyKeys }) => onlyKeys),
        runs.map(({ isBodyRedacted }) => isBodyRedacted ?? false),
        runs.map(({ sealedBody }) => sealedBody),
        runs.map(({ audit }) => audit?.action),
        runs.map(({ audit }) => cleanAuditText(audit?.caller)),
        runs.map(({ audit }) => audit?.isVerified),
        runs.map(({ audit }) => cleanAuditText(audit?.source)),
      ],
    });
    return [];
  },
});

/** Commits the run's row as `running`. The id is the caller's, so that a repeated statement changes nothing. */
export const insertRunning = (run: NewRun): Promise<void> => inserts.add(run, envConfig().databaseAcquireTimeout);

const FINISH = `
  update batch_job_run run
  set status = done.status, "httpStatus" = done.http, result = done.result, error = done.error,
    progress = coalesce(done.progress, run.progress), writes = coalesce(done.writes, run.writes),
    "sealedBody" = case when run."sealedBody" is null or done.status <> 'succeeded' or done.keeps
      -- Those of an earlier attempt may be tried again too.
      or exists (select from batch_job_run_failure failure where failure."runId" = run.id) then run."sealedBody" end,
    "finishedAt" = now(), "leaseUntil" = null
  from unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::jsonb[], $6::jsonb[], $7::jsonb[], $8::jsonb[], $9::boolean[])
    as done (id, attempt, status, http, result, error, progress, writes, keeps)
  where run.id = done.id and run.attempt = done.attempt and run.status = 'running'`;

const finishes = new WriteBatcher<Finish, FinishResult>({
  async write(runs) {
    // In the order that every statement on several runs takes their rows in: two that differ could wait for each other.
    const ordered = runs.length > 1 ? runs.toSorted((a, b) => (a.id < b.id ? -1 : 1)) : runs;
    const { rowCount } = await recorderPool.query({
      name: 'finish-runs',
      text: FINISH,
      values: [
        ordered.map(({ id }) => id),
        ordered.map(({ attempt }) => attempt),
        ordered.map(({ status }) => status),
        ordered.map(({ httpStatus }) => httpStatus),
        ordered.map(({ result }) => result),
        ordered.map(({ error }) => error),
        ordered.map(({ progress }) => progress),
        ordered.map(({ writes }) => writes),
        ordered.map(({ keepsBody }) => keepsBody ?? false),
      ],
    });
    if (rowCount === runs.length) return runs.map(() => 'recorded' as const);
    return tellApart(runs);
  },
});

/** Commits how the run ended, unless its row is no longer this attempt's: then it is left as it is. Tried until OUTCOME_DEADLINE. */
export const finishRun = (finish: Finish, patienceMs = envConfig().outcomeDeadline): Promise<FinishResult> => finishes.add(finish, patienceMs);

interface EndRow extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  readonly status: RunStatus;
}

/** Fewer rows than runs: some were fenced, or were written by an earlier try whose answer was lost. */
async function tellApart(runs: readonly Finish[]): Promise<FinishResult[]> {
  const { rows } = await recorderPool.query<EndRow>({
    text: 'select id, attempt, status from batch_job_run where id = any($1::uuid[])',
    values: [runs.map(({ id }) => id)],
  });
  const ends = new Map(rows.map((row) => [row.id, row]));
  return runs.map(({ id, attempt, status }) => {
    const end = ends.get(id);
    return end?.attempt === attempt && end.status === status ? 'recorded' : 'fenced';
  });
}
