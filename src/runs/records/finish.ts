import type pg from 'pg';
import { rowSource } from '../../lib/database/row-source.js';
import { recorderPool, type Statement } from '../../lib/database/service-pools.js';
import { writeLanes } from '../../lib/database/write-lanes.js';
import { envConfig } from '../../lib/env-config.js';
import { type RunStatus, sqlMayEnd } from './run-status.js';

/** A run's end. */
export interface Finish {
  readonly id: string;
  readonly attempt: number;
  readonly status: Exclude<RunStatus, 'queued' | 'running' | 'skipped' | 'lost'>;
  readonly httpStatus: number | undefined;
  /** JSON texts that Postgres takes, or undefined for none. */
  readonly result: string | undefined;
  readonly error: string | undefined;
  /** How far it got and what it wrote, where it said so; else what the row has is left. */
  readonly progress?: string | undefined;
  readonly writes?: string | undefined;
  /** How many items failed, and whether the job asked which items to keep to; else what the row has is left. */
  readonly failedItems?: number | undefined;
  readonly asksForKeys?: boolean | undefined;
  /** Its sealed body stays although it succeeded: items of it failed, and may be tried again. */
  readonly keepsBody?: boolean;
}

/** `fenced`: the row was no longer this attempt's to finish, and was left as it is. */
export type FinishResult = 'recorded' | 'fenced';

const FINISHES = rowSource<Finish>('done', [
  { name: 'id', type: 'uuid', of: ({ id }) => id },
  { name: 'attempt', type: 'int', of: ({ attempt }) => attempt },
  { name: 'status', type: 'text', of: ({ status }) => status },
  { name: 'http', type: 'int', of: ({ httpStatus }) => httpStatus },
  { name: 'result', type: 'jsonb', of: ({ result }) => result },
  { name: 'error', type: 'jsonb', of: ({ error }) => error },
  { name: 'progress', type: 'jsonb', of: ({ progress }) => progress },
  { name: 'writes', type: 'jsonb', of: ({ writes }) => writes },
  { name: 'failed', type: 'int', of: ({ failedItems }) => failedItems },
  { name: 'asks', type: 'boolean', of: ({ asksForKeys }) => asksForKeys },
  { name: 'keeps', type: 'boolean', of: ({ keepsBody }) => keepsBody ?? false },
]);

/** Failed items of an earlier attempt may be tried again too. Only then is their table looked at: while somebody has it locked, no other outcome waits. */
const mayHaveOlderFailures = ({ attempt, status }: Finish): boolean => attempt > 1 && status === 'succeeded';
const OLDER_FAILURES = 'exists (select from batch_job_run_failure failure where failure."runId" = run.id)';

const finish = (rows: string, olderFailures: string): string => `
  update batch_job_run run
  set status = done.status, "httpStatus" = done.http, result = done.result, error = done.error,
    progress = coalesce(done.progress, run.progress), writes = coalesce(done.writes, run.writes),
    "failedItems" = coalesce(done.failed, run."failedItems"), "asksForKeys" = coalesce(done.asks, run."asksForKeys"),
    "sealedBody" = case when run."sealedBody" is null or done.status <> 'succeeded' or done.keeps
      or ${olderFailures} then run."sealedBody" end,
    "finishedAt" = now(), "leaseUntil" = null
  from ${rows}
  where run.id = done.id and run.attempt = done.attempt and ${sqlMayEnd('run.status', 'done.status')}`;

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

const finishes = writeLanes<Finish, FinishResult>(bytesOfFinish, {
  small(runs) {
    const statement = runs.some(mayHaveOlderFailures) ? { name: 'finish-later-attempts', text: FINISH_LATER_ATTEMPTS } : { name: 'finish-runs', text: FINISH };
    return writeFinishes(runs, { ...statement, values: FINISHES.arrays.values(inOrder(runs)) });
  },
  large: (runs) => writeFinishes(runs, largeFinish(runs)),
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
