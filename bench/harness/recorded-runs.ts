import { setTimeout as delay } from 'node:timers/promises';
import type { BenchDatabase } from './bench-database.js';

type RunTable = 'batch_job_run' | 'naive_run';

interface Count {
  readonly succeeded: number;
  readonly running: number;
  readonly others: number;
}

const SETTLE_MS = 10_000;

/** Where a table's runs end now. Ids are UUID v7 of one process, so whatever comes later is greater. */
export async function lastRun(database: BenchDatabase, table: RunTable): Promise<string> {
  const [row] = await database.query<{ id: string }>(`select id from ${table} order by id desc limit 1`);
  return row?.id ?? '00000000-0000-0000-0000-000000000000';
}

/**
 * Checks the rows of every run since `after`: as many succeeded as there were answers, and at most `inFlight` more, whose
 * callers left when the load ended; and nothing else.
 * @throws {Error} when a row is missing, or is anything but succeeded
 */
export async function checkRecorded(database: BenchDatabase, table: RunTable, after: string, answers: number, inFlight: number): Promise<number> {
  const count = await settled(database, table, after);
  const surplus = count.succeeded - answers;
  if (surplus < 0 || surplus > inFlight || count.running > 0 || count.others > 0) {
    throw new Error(`${answers} runs were answered with 2xx, but ${table} has ${JSON.stringify(count)}`);
  }
  return count.succeeded;
}

async function settled(database: BenchDatabase, table: RunTable, after: string): Promise<Count> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const [count] = await database.query<Count & Record<string, unknown>>(
      `select count(*) filter (where status = 'succeeded')::int succeeded, count(*) filter (where status = 'running')::int running,
         count(*) filter (where status not in ('succeeded', 'running'))::int others
       from ${table} where id > $1`,
      [after],
    );
    if (!count) throw new Error('count(*) gives a row');
    if (count.running === 0 || performance.now() > until) return count;
    await delay(100);
  }
}
