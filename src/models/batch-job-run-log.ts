import type pg from 'pg';
import { rowSource } from '../lib/database/row-source.js';
import { bytesOfLine, type NumberedLine } from '../runs/log-buffer.js';
import type { LogLevel } from '../lib/run-scope.js';
import { logPool, readPool } from '../lib/database/service-pools.js';
import { WriteBatcher } from '../lib/database/write-batcher.js';

export interface RunLogRow extends pg.QueryResultRow {
  readonly attempt: number;
  readonly seq: number;
  readonly at: Date;
  readonly level: LogLevel;
  readonly tag: string | null;
  readonly message: string;
  readonly data: unknown;
}

/** Lines of one attempt of a run. */
interface Lines {
  readonly runId: string;
  readonly attempt: number;
  readonly lines: readonly NumberedLine[];
}

interface Row extends NumberedLine, Pick<Lines, 'runId' | 'attempt'> {}

const ROWS = rowSource<Row>('line', [
  { name: '"runId"', type: 'uuid', of: ({ runId }) => runId },
  { name: 'attempt', type: 'int', of: ({ attempt }) => attempt },
  { name: 'seq', type: 'int', of: ({ seq }) => seq },
  { name: 'at', type: 'timestamptz', of: ({ at }) => at },
  { name: 'level', type: 'text', of: ({ level }) => level },
  { name: 'tag', type: 'text', of: ({ tag }) => tag },
  { name: 'message', type: 'text', of: ({ message }) => message },
  { name: 'data', type: 'jsonb', of: ({ data }) => data },
]);

const INSERT = `
  insert into batch_job_run_log ("runId", attempt, seq, at, level, tag, message, data)
  select * from ${ROWS.arrays.text} on conflict do nothing`;

/** One statement, and so one commit, for the lines of all runs that wait. */
const writes = new WriteBatcher<Lines, void>({
  maxBatch: 100,
  bytesOf: ({ lines }) => lines.reduce((bytes, line) => bytes + bytesOfLine(line), 0),
  async write(all) {
    const rows = all.flatMap(({ runId, attempt, lines }) => lines.map((line) => ({ ...line, runId, attempt })));
    await logPool.query({ name: 'insert-log-lines', text: INSERT, values: ROWS.arrays.values(rows) });
    return [];
  },
});

/**
 * Writes lines of one attempt of a run. Harmless when repeated.
 * @throws what keeps them from being written, at once: whoever has the lines tries again
 */
const insertLines = (runId: string, attempt: number, lines: readonly NumberedLine[]): Promise<void> => writes.add({ runId, attempt, lines }, 0);

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
