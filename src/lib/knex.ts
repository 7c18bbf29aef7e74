import { connectionSettings, onDatabaseClose } from './database/database.js';
import { envConfig } from './env-config.js';
import { knexLog } from './database/knex-log.js';
import { createRunKnex } from './run-knex/create-run-knex.js';
import { outsideRuns } from './run-knex/current-database.js';
import { protectDriver } from './run-knex/protect-shared-knex.js';

/**
 * The jobs' own pool of connections, which knows the run it is used in: a dry run cannot write, what a run writes is counted,
 * and a run that was stopped gets no further. It outlives every run, so a job cannot destroy or change it. Nothing is opened before the first query.
 */
const knex = outsideRuns(() => createRunKnex({
  connection: async () => ({ ...(await connectionSettings()), application_name: 'commons-jobs' }),
  pool: { min: 0, max: envConfig().databasePoolMax },
  acquireConnectionTimeout: envConfig().databaseAcquireTimeout,
  log: knexLog,
  // Or knex would write a query's values into the message of its error.
  compileSqlOnError: false,
}));

protectDriver();

onDatabaseClose(() => knex.destroy());

/** The jobs can get no connection any more: their pool was destroyed, by code outside runs or by the service's own stop. */
export const isJobsPoolClosed = (): boolean => !knex.client.pool;

export default knex;
