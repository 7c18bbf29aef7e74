import os from 'node:os';
import type pg from 'pg';
import { envConfig } from '../../lib/env-config.js';
import { rowSource } from '../../lib/database/row-source.js';
import { recorderPool, type Statement } from '../../lib/database/service-pools.js';
import { WriteBatcher } from '../../lib/database/write-batcher.js';
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

/** $1 to $3 are the same for all of them. */
const NEW_RUNS = rowSource<NewRun>('run', [
  { name: 'id', type: 'uuid', of: ({ id }) => id },
  { name: 'job', type: 'text', of: ({ jobName }) => jobName },
  { name: 'trigger', type: 'text', of: ({ trigger }) => trigger },
  { name: 'dry', type: 'boolean', of: ({ isDryRun }) => isDryRun },
  { name: 'body', type: 'jsonb', of: ({ body }) => body },
  { name: '"by"', type: 'text', of: ({ requestedBy }) => requestedBy },
  { name: 'parent', type: 'uuid', of: ({ parentRunId }) => parentRunId },
  { name: 'keys', type: 'jsonb', of: ({ onlyKeys }) => onlyKeys },
  { name: 'redacted', type: 'boolean', of: ({ isBodyRedacted }) => isBodyRedacted ?? false },
  { name: 'sealed', type: 'bytea', of: ({ sealedBody }) => sealedBody },
  { name: 'act', type: 'text', of: ({ audit }) => audit?.action },
  { name: 'caller', type: 'text', of: ({ audit }) => cleanAuditText(audit?.caller) },
  { name: 'verified', type: 'boolean', of: ({ audit }) => audit?.isVerified },
  { name: 'source', type: 'text', of: ({ audit }) => cleanAuditText(audit?.source) },
], 4);

const insert = (rows: string): string => `
  with run as (
    select * from ${rows}
  ), event as (
    insert into audit_event (id, action, outcome, caller, "isVerified", source, "jobName", "runId")
    select id, act, 'allowed', caller, verified, source, job, id from run where act is not null
    on conflict (id) do nothing
  )
  insert into batch_job_run
    (id, "jobName", status, trigger, "isDryRun", body, "requestedBy", "parentRunId", "startedAt", "leaseUntil", host, version, "onlyKeys",
      "isBodyRedacted", "sealedBody")
  select id, job, 'running', trigger, dry, body, "by", parent, now(), now() + $1 * interval '1 ms', $2, $3, keys, redacted, sealed
  from run
  on conflict (id) do nothing`;

const INSERT = insert(NEW_RUNS.arrays.text);

const bytesOfNew = ({ body, onlyKeys, sealedBody }: NewRun): number => (body?.length ?? 0) + (onlyKeys?.length ?? 0) + 2 * (sealedBody?.length ?? 0);

/**
 * A run with a body over this many bytes is large. The large ones have a lane of their own: they go with one parameter a value, a
 * few at a time, and the small ones, whose arrays cost nothing to speak of, do not wait for them.
 */
const LARGE_BYTES = 4_096;
const LARGE_LANE = { maxBatch: 16, maxBytes: 1_048_576 };

const inserts = lanes<NewRun, void>(bytesOfNew, {
  async small(runs) {
    await recorderPool.query({ name: 'insert-runs', text: INSERT, values: [envConfig().runLease, ...place(), ...NEW_RUNS.arrays.values(runs)] });
    return [];
  },
  async large(runs) {
    const text = insert(NEW_RUNS.scalars.text(runs.length));
    await recorderPool.query({ name: `insert-${runs.length}-large-runs`, text, values: [envConfig().runLease, ...place(), ...NEW_RUNS.scalars.values(runs)] });
    return [];
  },
});

type Write<Item, Result> = (items: readonly Item[]) => Promise<readonly Result[]>;

function lanes<Item, Result>(bytesOf: (item: Item) => number, { small, large }: { small: Write<Item, Result>; large: Write<Item, Result> }) {
  const [smallLane, largeLane] = [new WriteBatcher({ write: small, bytesOf }), new WriteBatcher({ write: large, bytesOf, ...LARGE_LANE })];
  return { add: (item: Item, patienceMs: number) => (bytesOf(item) > LARGE_BYTES ? largeLane : smallLane).add(item, patienceMs) };
}

/** Commits the run's row as `running`. The id is the caller's, so that a repeated statement changes nothing. */
export const insertRunning = (run: NewRun): Promise<void> => inserts.add(run, envConfig().databaseAcquireTimeout);

const FINISHES = rowSource<Finish>('done', [
  { name: 'id', type: 'uuid', of: ({ id }) => id },
  { name: 'attempt', type: 'int', of: ({ attempt }) => attempt },
  { name: 'status', type: 'text', of: ({ status }) => status },
  { name: 'http', type: 'int', of: ({ httpStatus }) => httpStatus },
  { name: 'result', type: 'jsonb', of: ({ result }) => result },
  { name: 'error', type: 'jsonb', of: ({ error }) => error },
  { name: 'progress', type: 'jsonb', of: ({ progress }) => progress },
  { name: 'writes', type: 'jsonb', of: ({ writes }) => writes },
  { name: 'keeps', type: 'boolean', of: ({ keepsBody }) => keepsBody ?? false },
]);

/** Failed items of an earlier attempt may be tried again too. Only then is their table looked at: while somebody has it locked, no other outcome waits. */
const mayHaveOlderFailures = ({ attempt, status }: Finish): boolean => attempt > 1 && status === 'succeeded';
const OLDER_FAILURES = 'exists (select from batch_job_run_failure failure where failure."runId" = run.id)';

const finish = (rows: string, olderFailures: string): string => `
  update batch_job_run run
  set status = done.status, "httpStatus" = done.http, result = done.result, error = done.error,
    progress = coalesce(done.progress, run.progress), writes = coalesce(done.writes, run.writes),
    "sealedBody" = case when run."sealedBody" is null or done.status <> 'succeeded' or done.keeps
      or ${olderFailures} then run."sealedBody" end,
    "finishedAt" = now(), "leaseUntil" = null
  from ${rows}
  where run.id = done.id and run.attempt = done.attempt and run.status = 'running'`;

const FINISH = finish(FINISHES.arrays.text, 'false');
const FINISH_LATER_ATTEMPTS = finish(FINISHES.arrays.text, OLDER_FAILURES);

function largeFinish(runs: readonly Finish[]) {
  const isLater = runs.some(mayHaveOlderFailures);
  const text = finish(FINISHES.scalars.text(runs.length), isLater ? OLDER_FAILURES : 'false');
  return { name: `finish-${runs.length}-large-${isLater ? 'later-attempts' : 'runs'}`, text, values: FINISHES.scalars.values(inOrder(runs)) };
}

const bytesOfFinish = ({ result, error, progress, writes }: Finish): number =>
  (result?.length ?? 0) + (error?.length ?? 0) + (progress?.length ?? 0) + (writes?.length ?? 0);

/** In the order that every statement on several runs takes their rows in: two that differ could wait for each other. */
const inOrder = (runs: readonly Finish[]): readonly Finish[] => (runs.length > 1 ? runs.toSorted((a, b) => (a.id < b.id ? -1 : 1)) : runs);

const finishes = lanes<Finish, FinishResult>(bytesOfFinish, {
  small(runs) {
    const statement = runs.some(mayHaveOlderFailures) ? { name: 'finish-later-attempts', text: FINISH_LATER_ATTEMPTS } : { name: 'finish-runs', text: FINISH };
    return writeFinishes(runs, { ...statement, values: FINISHES.arrays.values(inOrder(runs)) });
  },
  large: (runs) =>
    writeFinishes(runs, largeFinish(runs)),
});

async function writeFinishes(runs: readonly Finish[], statement: Statement): Promise<readonly FinishResult[]> {
  const { rowCount } = await recorderPool.query(statement);
  return rowCount === runs.length ? runs.map(() => 'recorded' as const) : tellApart(runs);
}

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
