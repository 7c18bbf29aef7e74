import { median } from './harness/statistics.js';
import { inProject } from './harness/paths.js';
import { table } from './harness/table.js';

export interface BackfillResult {
  readonly rows: number;
  readonly rounds: number;
  /** Rows a second, and processInBatches' to the loop's, medians of the rounds. */
  readonly cases: readonly { readonly transaction: boolean; readonly byHand: number; readonly ours: number; readonly ratio: number }[];
  /** `each` in a transaction a batch: rows a second, medians of the rounds. */
  readonly byRow: readonly { readonly what: RowWork; readonly speed: number }[];
}

/** What `each` does with a row: one update, or in a dry run nothing, or one query. */
type RowWork = 'update' | 'dry' | 'dry, reads';

interface Item {
  readonly id: string;
  readonly first: string;
  readonly last: string;
}

const BATCH_SIZE = 1_000;
const TARGET = 0.8;

/**
 * The same set-based backfill by processInBatches, inside a recorded run with its progress and its checkpoints, and by the
 * loop that one would write by hand, in turns.
 */
export async function backfill({ rows, rounds }: { rows: number; rounds: number }): Promise<BackfillResult> {
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
  type Trx = typeof knex;

  const write = async (batch: readonly Item[], trx: Trx): Promise<void> => {
    const values = [batch.map(({ id }) => id), batch.map(({ first, last }) => `${first} ${last}`)];
    await trx.raw('update bench_person p set "fullName" = v.name from unnest(?::bigint[], ?::text[]) as v (id, name) where p.id = v.id', values);
  };

  async function byHand(inTransaction: boolean): Promise<number> {
    let after = '0';
    let done = 0;
    const step = async (trx: Trx): Promise<Item[]> => {
      const batch = await trx<Item>('bench_person').select('id', 'first', 'last').where('id', '>', after).orderBy('id').limit(BATCH_SIZE);
      if (batch.length > 0) await write(batch as Item[], trx);
      return batch as Item[];
    };
    for (;;) {
      const batch = inTransaction ? await knex.transaction((trx) => step(trx)) : await step(knex);
      if (batch.length === 0) return done;
      done += batch.length;
      after = batch.at(-1)!.id;
    }
  }

  const ours = (transaction: boolean): Promise<number> =>
    BatchJobRun.trap('bench-backfill', async () => {
      const query = knex<Item>('bench_person').select('id', 'first', 'last');
      const { processed } = await processInBatches({ query, batchSize: BATCH_SIZE, transaction, batch: (batch, trx) => write(batch as Item[], trx as Trx) });
      return processed;
    });

  const rowByRow = (what: RowWork): Promise<number> =>
    BatchJobRun.trap('bench-backfill', async () => {
      const query = knex<Item>('bench_person').select('id', 'first', 'last');
      const { processed } = await processInBatches({
        query,
        batchSize: BATCH_SIZE,
        transaction: true,
        each: async (row, { trx, isDryRun }) => {
          const { id, first, last } = row as Item;
          if (!isDryRun) await trx('bench_person').where({ id }).update({ fullName: `${first} ${last}` });
          else if (what === 'dry, reads') await trx('bench_person').where({ id }).first('fullName');
        },
      });
      return processed;
    }, { isDryRun: what !== 'update' });

  const speedOf = async (work: () => Promise<number>): Promise<number> => {
    await knex.raw('vacuum bench_person');
    const started = performance.now();
    const done = await work();
    if (done !== rows) throw new Error(`${done} rows were processed in place of ${rows}`);
    return rows / ((performance.now() - started) / 1_000);
  };

  try {
    await migrate({ connection: await connectionSettings(), folder: inProject('src/models/migrations'), importFile: (file) => import(file) });
    await knex.raw(`
      drop table if exists bench_person;
      create table bench_person (id bigint primary key, first text, last text, "fullName" text) with (fillfactor = 50);
      insert into bench_person select n, 'First' || n, 'Last' || n, null from generate_series(1, ${rows}) n`);
    await knex.raw('vacuum analyze bench_person');
    const cases = [];
    for (const transaction of [false, true]) {
      const speeds: { hand: number; ours: number }[] = [];
      for (let round = 0; round < rounds; round++) speeds.push({ hand: await speedOf(() => byHand(transaction)), ours: await speedOf(() => ours(transaction)) });
      cases.push({
        transaction,
        byHand: median(speeds.map(({ hand }) => hand)),
        ours: median(speeds.map((speed) => speed.ours)),
        ratio: median(speeds.map((speed) => speed.ours / speed.hand)),
      });
    }
    const byRow = [];
    for (const what of ['update', 'dry', 'dry, reads'] as const) {
      const speeds: number[] = [];
      for (let round = 0; round < rounds; round++) speeds.push(await speedOf(() => rowByRow(what)));
      byRow.push({ what, speed: median(speeds) });
    }
    await knex.raw('drop table bench_person');
    return { rows, rounds, cases, byRow };
  } finally {
    await closeDatabase();
  }
}

const ROW_WORK: Readonly<Record<RowWork, string>> = {
  update: 'one update a row',
  dry: 'a dry run that does nothing with a row',
  'dry, reads': 'a dry run that reads one row a row',
};

export function showBackfill({ rows, rounds, cases, byRow }: BackfillResult): string {
  const lines = cases.map(({ transaction, byHand, ours, ratio }) => [
    transaction ? 'a transaction a batch' : 'no transactions', Math.round(byHand).toLocaleString('en'), Math.round(ours).toLocaleString('en'), ratio.toFixed(2),
  ]);
  const ofBatches = cases.find(({ transaction }) => transaction)!.ours;
  const rowLines = byRow.map(({ what, speed }) => [ROW_WORK[what], Math.round(speed).toLocaleString('en'), (speed / ofBatches).toFixed(2)]);
  const isReached = cases.every(({ ratio }) => ratio >= TARGET);
  return [
    `Backfill: ${rows.toLocaleString('en')} rows, read and updated in batches of ${BATCH_SIZE.toLocaleString('en')}, medians of ${rounds} rounds\n`,
    table(['', 'loop by hand, rows/s', 'processInBatches, rows/s', 'ratio'], lines),
    `\nprocessInBatches to the loop (target ${TARGET}: ${isReached ? 'reached' : 'MISSED'})\n`,
    table(['each, a transaction a batch', 'rows/s', 'of batch with a transaction'], rowLines),
  ].join('\n');
}
