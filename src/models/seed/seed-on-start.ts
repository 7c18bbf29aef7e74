import type { ClientConfig } from 'pg';
import { envConfig } from '../../lib/env-config.js';
import logger from '../../lib/logging.js';
import { DEFAULT_PATIENTS, seedDatabase } from './seed-database.js';

const TAG = 'seed';

/**
 * Gives the example jobs something to work on where SEED_ON_START allows it and the database is empty. The service starts without, should it fail.
 */
export async function seedOnStart(connection: ClientConfig, signal: AbortSignal): Promise<void> {
  if (!envConfig().seedOnStart) return;
  const since = performance.now();
  try {
    if (!(await seedDatabase(connection, { patients: DEFAULT_PATIENTS, onlyIfEmpty: true, signal }))) return;
    logger.log(`Put ${DEFAULT_PATIENTS} synthetic patients into the empty database (SEED_ON_START=no keeps it empty)`, TAG, { ms: Math.round(performance.now() - since) });
  } catch (error) {
    if (!signal.aborted) logger.error(error, { tag: TAG, note: 'the database stays without synthetic patients; later: npm run seed' });
  }
}
