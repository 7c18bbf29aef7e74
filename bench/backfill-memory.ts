import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { inProject } from './harness/paths.js';
import { rounded } from './harness/statistics.js';
import { table } from './harness/table.js';

interface Mark {
  readonly rows: number;
  /** MB, everything collected that can be. */
  readonly heapUsedMb: number;
  readonly rssMb: number;
}

const BATCH_SIZE = 1_000;
const SHARES = [0.1, 0.5, 1];
/** MB of heap that 90 % of a backfill may add: the figures scatter by less. */
const MOST_GROWTH_MB = 2;

/** What a backfill of many rows holds of memory as it goes on, read and updated by processInBatches in a recorded run. */
export async function backfillMemory({ rows }: { rows: number }) {
  delete process.env.DATABASE_URL;
  process.env.DATA_FOLDER = inProject('.data/bench');
  process.env.LOG_LEVEL ??= 'warn';
  // Only now, since the pool reads the environment when it is loaded.
  const [{ default: knex }, { closeDatabase, connectionSettings }, { migrate }, { processInBatches }, { BatchJobRun }] = await Promise.all([
    import('@commons/backend/lib/knex.js'),
    import('@commons/backend/lib/database/database.js'),
    import('@commons/backend/lib/database/migrate.js'),
    import('@commons/backend/lib/process-in-batches.js'),
    import('@commons/backend/models/batch-job-run.js'),
  ]);
  const marks: Mark[] = [];
  let done = 0;
  try {
    await migrate({ connection: await connectionSettings(), folder: inProject('src/models/migrations'), importFile: (file) => import(file) });
    await knex.raw(`
      drop table if exists bench_many;
      create table bench_many (id bigint primary key, name text, written int not null default 0) with (fillfactor = 50);
      insert into bench_many select n, 'Name ' || n from generate_series(1, ${rows}) n`);
    await knex.raw('vacuum analyze bench_many');
    const started = performance.now();
    await BatchJobRun.trap('bench-backfill-memory', () =>
      processInBatches({
        query: knex<{ id: string; name: string }>('bench_many').select('id', 'name'),
        batchSize: BATCH_SIZE,
        transaction: true,
        maxFailures: 0,
        batch: async (batch, trx) => {
          await trx.raw('update bench_many set written = written + 1 where id = any(?::bigint[])', [batch.map(({ id }) => id)]);
          done += batch.length;
          if (SHARES.some((share) => Math.round(rows * share) === done)) marks.push({ rows: done, ...memoryNow() });
        },
      }),
    );
    const seconds = rounded((performance.now() - started) / 1_000, 1);
    await knex.raw('drop table bench_many');
    const growthMb = rounded(marks.at(-1)!.heapUsedMb - marks[0]!.heapUsedMb, 2);
    return { rows, seconds, marks, growthMb, isRight: done === rows };
  } finally {
    await closeDatabase();
  }
}

function memoryNow(): Omit<Mark, 'rows'> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let pass = 0; pass < 4; pass++) gc();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapUsedMb: rounded(heapUsed / 2 ** 20, 2), rssMb: rounded(rss / 2 ** 20, 1) };
}

export function showBackfillMemory({ rows, seconds, marks, growthMb }: Awaited<ReturnType<typeof backfillMemory>>): string {
  const lines = marks.map((mark) => [`${mark.rows.toLocaleString('en')} rows`, `${mark.heapUsedMb.toFixed(2)} MB`, `${mark.rssMb} MB`]);
  return [
    `Memory of a backfill: ${rows.toLocaleString('en')} rows in transactions of ${BATCH_SIZE.toLocaleString('en')}, ${seconds} s, after a forced collection\n`,
    table(['', 'heap used', 'resident'], lines),
    `\nheap added from the first mark to the last: ${growthMb} MB (at most ${MOST_GROWTH_MB}: ${growthMb <= MOST_GROWTH_MB ? 'reached' : 'MISSED'})`,
  ].join('\n');
}
