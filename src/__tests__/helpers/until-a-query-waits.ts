import knex from '@commons/backend/lib/knex.js';
import { waitUntil } from './wait-until.js';

/** Resolves once a query waits for a lock that another transaction holds: in this spec's own database, since others share the server. */
export const untilAQueryWaits = () =>
  waitUntil('a query waits for a lock', () => knex('pg_stat_activity').whereRaw('datname = current_database()').where({ wait_event_type: 'Lock' }).first('pid'));
