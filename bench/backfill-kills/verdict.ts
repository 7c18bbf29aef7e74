import { readFile } from 'node:fs/promises';
import type { BenchDatabase } from '../harness/bench-database.js';

/** Where the kills struck, by what the job had written down and what was committed. */
export interface Moments {
  /** Before the attempt's first batch. */
  startUp: number;
  /** Amid a batch's writes. */
  inBatch: number;
  /** The batch was written, and its commit did not come to pass. */
  beforeCommit: number;
  /** Its last batch was committed, whether or not the process had heard of that. */
  afterCommit: number;
}

/** @param attempts the killed ones are 1 to this */
export async function momentsOf(database: BenchDatabase, trace: string, attempts: number, batchSize: number): Promise<Moments> {
  const said = new Map<string, number>();
  for (const line of (await readFile(trace, 'utf8')).split('\n')) said.set(line, (said.get(line) ?? 0) + 1);
  const rows = await database.query<{ attempt: number; rows: number }>('select attempt, count(*)::int as rows from counted_ledger group by attempt');
  const written = new Map(rows.map((row) => [row.attempt, row.rows]));
  const moments: Moments = { startUp: 0, inBatch: 0, beforeCommit: 0, afterCommit: 0 };
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const [entered, left] = [said.get(`entered ${attempt}`) ?? 0, said.get(`left ${attempt}`) ?? 0];
    const committed = Math.ceil((written.get(attempt) ?? 0) / batchSize);
    if (entered === 0) moments.startUp++;
    else if (entered > left) moments.inBatch++;
    else if (left > committed) moments.beforeCommit++;
    else moments.afterCommit++;
  }
  return moments;
}

/** How often the rows were written: of the row's own counter, and of the ledger. Exactly once is the only right answer. */
export async function countWrites(database: BenchDatabase): Promise<{ once: number; never: number; repeated: number; ledger: number; inLedgerOnce: number }> {
  const [items] = await database.query<{ once: number; never: number; repeated: number }>(
    `select count(*) filter (where written = 1)::int as once, count(*) filter (where written = 0)::int as never,
       count(*) filter (where written > 1)::int as repeated from counted_item`,
  );
  const [ledger] = await database.query<{ ledger: number; inLedgerOnce: number }>(
    `select coalesce(sum(times), 0)::int as ledger, count(*) filter (where times = 1)::int as "inLedgerOnce"
     from (select count(*) as times from counted_ledger group by "itemId") by_item`,
  );
  return { ...items!, ...ledger! };
}
