import type pg from 'pg';
import type { NumberedLine } from '../lib/run-log-buffer.js';
import type { LogLevel } from '../lib/run-scope.js';
import { readPool, recorderPool } from '../lib/service-pools.js';

export interface RunLogRow extends pg.QueryResultRow {
  readonly attempt: number;
  readonly seq: number;
  readonly at: Date;
  readonly level: LogLevel;
  readonly tag: string | null;
  readonly message: string;
  readonly data: unknown;
}

/** Writes lines of one attempt of a run. Harmless when repeated. */
async function insertLines(runId: string, attempt: number, lines: readonly NumberedLine[]): Promise<void> {
  await recorderPool.query({
    name: 'insert-log-lines',
    text: `insert into batch_job_run_log ("runId", attempt, seq, at, level, tag, message, data)
           select $1, $2, * from unnest($3::int[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
           on conflict do nothing`,
    values: [
      runId,
      attempt,
      lines.map(({ seq }) => seq),
      lines.map(({ at }) => at),
      lines.map(({ level }) => level),
      lines.map(({ tag }) => tag),
      lines.map(({ message }) => message),
      lines.map(({ data }) => data),
    ],
  });
}

/** A place in a run's log: the last line that was read. */
export interface LogPosition {
  readonly attempt: number;
  readonly seq: number;
}

/** Up to `limit` lines of a run's log, oldest first, beginning behind `after`. */
async function listLines(runId: string, { after, limit }: { after: LogPosition | undefined; limit: number }): Promise<RunLogRow[]> {
  const { rows } = await readPool.query<RunLogRow>({
    text: `select attempt, seq, at, level, tag, message, data from batch_job_run_log
           where "runId" = $1 and (attempt, seq) > ($2, $3) order by attempt, seq limit $4`,
    values: [runId, after?.attempt ?? 0, after?.seq ?? -1, limit],
  });
  return rows;
}

/** The table batch_job_run_log: what was logged inside a run. */
export const BatchJobRunLog = { insertLines, listLines };
