import knex from '@commons/backend/lib/knex.js';
import { waitUntil } from './wait-until.js';

/** How many queries wait for a lock that another transaction holds: in this spec's own database, since others share the server. */
export async function waitingQueries(): Promise<number> {
  const { rows } = await knex.raw<{ rows: [{ count: number }] }>(
    `select count(*)::int from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows[0].count;
}

/** Resolves once so many queries wait for a lock. */
export const untilQueriesWait = (count: number) => waitUntil(`${count} queries wait for a lock`, async () => (await waitingQueries()) >= count);

/** Resolves once a query waits for a lock. */
export const untilAQueryWaits = () => untilQueriesWait(1);
