import knex from '@commons/backend/lib/knex.js';

/**
 * How many of the table's rows each transaction wrote, the first one first: for jobs that set `updatedAt` to now(), which is the
 * time at which a transaction began.
 * @param since rows that were written before this are left out
 */
export async function rowsPerTransaction(table: string, since: Date): Promise<number[]> {
  const { rows } = await knex.raw<{ rows: { count: number }[] }>('select count(*)::int from ?? where "updatedAt" >= ? group by "updatedAt" order by "updatedAt"', [table, since]);
  return rows.map(({ count }) => count);
}

/** The database's time, which is what its rows go by. */
export async function databaseTime(): Promise<Date> {
  const { rows } = await knex.raw<{ rows: [{ now: Date }] }>('select now()');
  return rows[0].now;
}
