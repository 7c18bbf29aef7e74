import createKnex, { type Knex } from 'knex';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { RunDatabase } from '@commons/backend/lib/run-knex/run-database.js';
import { type CurrentRun, runInScope } from '@commons/backend/lib/run-scope.js';
import { openDatabase } from './harness/bench-database.js';
import { inProject } from './harness/paths.js';
import { quietMachine } from './harness/quiet-machine.js';
import { median } from './harness/statistics.js';
import { table } from './harness/table.js';

export interface CountingResult {
  readonly rounds: number;
  readonly updates: number;
  /** us per single-row update, medians of the rounds; `ratio` is the median of each round's ratio to plain knex. */
  readonly cases: readonly {
    readonly fsync: 'on' | 'off';
    readonly perTransaction: number;
    readonly plain: number;
    readonly byDefault: number;
    readonly exact: number;
    readonly defaultRatio: number;
    readonly exactRatio: number;
  }[];
}

const ROWS = 1_000;
const UPDATES_PER_TRANSACTION = 5;
/** Of single updates that are counted by default. */
const TARGETS = { on: 1.15, off: 1.35 };
const SETTINGS = { on: [], off: ['fsync=off'] };
const KINDS = ['plain', 'byDefault', 'exact'] as const;
type Kind = (typeof KINDS)[number];

/**
 * What it costs that a run's writes are counted (and its queries tagged, and stopped with it): updates of one row by its
 * key, one after the other on one connection, by plain knex and by the jobs' knex in a run, in short rounds that take turns.
 */
export async function counting(options: { rounds: number; updates: number }): Promise<CountingResult> {
  const cases = [];
  for (const fsync of ['on', 'off'] as const) cases.push(...(await measure(fsync, options)));
  return { ...options, cases };
}

async function measure(fsync: 'on' | 'off', { rounds, updates }: { rounds: number; updates: number }) {
  const database = await openDatabase(inProject('.data', fsync === 'on' ? 'bench' : 'bench-no-fsync'), SETTINGS[fsync]);
  const [setting] = await database.query<{ fsync: string }>('show fsync');
  if (setting?.fsync !== fsync) throw new Error(`fsync is ${setting?.fsync}: another program uses this database, and started it so`);
  const settings = { connection: database.connection as Knex.PgConnectionConfig, pool: { min: 0, max: 1 } };
  const plain = createKnex({ client: 'pg', ...settings });
  const ours = createRunKnex(settings);
  const use: Record<Kind, (work: (knex: Knex) => Promise<void>) => Promise<void>> = {
    plain: (work) => work(plain),
    byDefault: (work) => inRun(undefined, () => work(ours)),
    exact: (work) => inRun('exact', () => work(ours)),
  };
  try {
    await database.query('drop table if exists bench_counted');
    await database.query('create table bench_counted (id int primary key, value int) with (fillfactor = 50)');
    await database.query(`insert into bench_counted select n, 0 from generate_series(1, ${ROWS}) n`);
    const cases = [];
    for (const perTransaction of [1, UPDATES_PER_TRANSACTION]) {
      const work = (knex: Knex) => (perTransaction === 1 ? update(knex, updates) : inTransactions(knex, updates));
      const times: Record<Kind, number>[] = [];
      await quietMachine();
      // The first one warms up, and is not counted.
      for (let round = 0; round <= rounds; round++) {
        await database.query('vacuum bench_counted');
        const time = {} as Record<Kind, number>;
        // Each kind is the first as often as the others.
        for (let i = 0; i < KINDS.length; i++) {
          const kind = KINDS[(round + i) % KINDS.length]!;
          const started = performance.now();
          await use[kind](work);
          time[kind] = ((performance.now() - started) / updates) * 1_000;
        }
        if (round > 0) times.push(time);
      }
      const of = (value: (time: Record<Kind, number>) => number) => median(times.map(value));
      cases.push({
        fsync,
        perTransaction,
        plain: of((time) => time.plain),
        byDefault: of((time) => time.byDefault),
        exact: of((time) => time.exact),
        defaultRatio: of((time) => time.byDefault / time.plain),
        exactRatio: of((time) => time.exact / time.plain),
      });
    }
    return cases;
  } finally {
    await Promise.all([plain.destroy(), ours.destroy()]);
    await database.query('drop table if exists bench_counted');
    await database.close();
  }
}

async function update(knex: Knex, updates: number): Promise<void> {
  for (let i = 0; i < updates; i++) await knex('bench_counted').where({ id: (i % ROWS) + 1 }).update({ value: i });
}

async function inTransactions(knex: Knex, updates: number): Promise<void> {
  for (let i = 0; i < updates; i += UPDATES_PER_TRANSACTION) await knex.transaction((trx) => update(trx, UPDATES_PER_TRANSACTION));
}

/** As a job's code is run, but for the run's row. @throws {Error} when the updates were not counted: the time would say nothing */
async function inRun(countWrites: 'exact' | undefined, work: () => Promise<void>): Promise<void> {
  const run = { id: '00000000-0000-7000-8000-000000000000', jobName: 'bench-counting', isDryRun: false, signal: new AbortController().signal, countWrites };
  const database = new RunDatabase(run);
  await runInScope({ run: run as unknown as CurrentRun, database, keepLine: () => undefined }, work);
  await database.close();
  if (!database.writes.bench_counted?.update) throw new Error(`nothing was counted: ${JSON.stringify(database.writes)}`);
}

export function showCounting({ rounds, updates, cases }: CountingResult): string {
  const us = (value: number) => value.toFixed(0);
  const lines = cases.map(({ fsync, perTransaction, plain, byDefault, exact, defaultRatio, exactRatio }) => [
    `fsync ${fsync}, ${perTransaction === 1 ? 'each by itself' : `${perTransaction} a transaction`}`, us(plain), us(byDefault), us(exact), defaultRatio.toFixed(2), exactRatio.toFixed(2),
  ]);
  const verdicts = cases
    .filter(({ perTransaction }) => perTransaction === 1)
    .map(({ fsync, defaultRatio }) => `fsync ${fsync}: target ${TARGETS[fsync]}, ${defaultRatio <= TARGETS[fsync] ? 'reached' : 'MISSED'}`);
  return [
    `Counting: updates of one row, us each, medians of ${rounds} rounds of ${updates.toLocaleString('en')}; the ratios are to plain knex\n`,
    table(['', 'plain knex', 'default', "'exact'", 'default, ratio', "'exact', ratio"], lines),
    `\nby default, each by itself: ${verdicts.join('; ')}`,
  ].join('\n');
}
