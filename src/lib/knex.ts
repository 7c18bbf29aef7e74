import { connectionSettings, onDatabaseClose } from './database.js';
import { envConfig } from './env-config.js';
import { knexLog } from './knex-log.js';
import { createRunKnex } from './run-knex/create-run-knex.js';

/**
 * The jobs' own pool of connections, which knows the run it is used in: a dry run cannot write, what a run writes is counted,
 * and a run that was stopped gets no further. Nothing is opened before the first query.
 */
const knex = createRunKnex({
  connection: async () => ({ ...(await connectionSettings()), application_name: 'commons-jobs' }),
  pool: { min: 0, max: envConfig().databasePoolMax },
  acquireConnectionTimeout: envConfig().databaseAcquireTimeout,
  log: knexLog,
  // Or knex would write a query's values into the message of its error.
  compileSqlOnError: false,
});

onDatabaseClose(() => knex.destroy());

export default knex;
