import knex from '@commons/backend/lib/knex.js';

interface RefusedWrites {
  readonly table: string;
  readonly on: 'insert' | 'update';
  /** SQL over `new`: which rows. */
  readonly when: string;
  /** Default: each row as it is written. */
  readonly at?: 'the write' | 'the commit';
}

/** Has Postgres refuse these writes, with the message `refused`, while `work` goes on. */
export async function refusingWrites<T>({ table, on, when, at = 'the write' }: RefusedWrites, work: () => Promise<T>): Promise<T> {
  await knex.raw(`
    create or replace function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$;
    create constraint trigger refused after ${on} on ${table} ${at === 'the commit' ? 'deferrable initially deferred' : ''} for each row when (${when}) execute function refuse()`);
  try {
    return await work();
  } finally {
    await knex.raw('drop trigger refused on ??', [table]);
  }
}
