import createKnex, { type Knex } from 'knex';
import { currentDatabase } from './current-database.js';
import { protectSharedKnex } from './protect-shared-knex.js';
import { RunClient } from './run-client.js';

/** knex's own settings, but for which client it is. `connection` may be a function that is called at the first query. */
export type RunKnexConfig = Omit<Knex.Config, 'client' | 'connection' | 'connectionPool'> & {
  readonly connection: string | object | (() => Promise<object>);
};

/**
 * An ordinary knex for Postgres that knows the run it is used in. In a dry run Postgres refuses every write; what a run
 * commits is counted; a run that was stopped has its query cancelled and its next one refused with RunStopped; its
 * statements carry its name. It opens nothing before the first query, and up to twice `pool.max` connections: dry runs
 * have a pool of their own. Made outside runs it is shared by them, and a job can neither take it down nor change it.
 */
export function createRunKnex(config: RunKnexConfig): Knex {
  const knex = createKnex({ ...(config as Knex.Config), client: RunClient as typeof Knex.Client });
  // One that a job makes for itself is the job's own.
  if (!currentDatabase()) protectSharedKnex(knex);
  return knex;
}
