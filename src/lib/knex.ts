import createKnex from 'knex';
import { connectionSettings, onDatabaseClose } from './database.js';
import { envConfig } from './env-config.js';
import { knexLog } from './knex-log.js';

/** The jobs' own pool of connections. Nothing is opened before the first query. */
const knex = createKnex({
  client: 'pg',
  connection: async () => ({ ...(await connectionSettings()), application_name: 'commons-jobs' }) as object,
  pool: { min: 0, max: envConfig().databasePoolMax },
  acquireConnectionTimeout: envConfig().databaseAcquireTimeout,
  log: knexLog,
});

onDatabaseClose(() => knex.destroy());

export default knex;
