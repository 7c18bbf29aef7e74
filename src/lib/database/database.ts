import type { ClientConfig } from 'pg';
import { envConfig } from '../env-config.js';
import logger from '../logging.js';
import { refuseInRuns } from '../run-knex/refuse-in-runs.js';

type Close = () => Promise<unknown>;

const TAG = 'database';
/** ms. A connection that is in use is not waited for any longer: it ends with the process. */
const MOST_CLOSE_MS = 1_000;

let settings: Promise<ClientConfig> | undefined;
let releaseServer: Close | undefined;
const closers: Close[] = [];

/**
 * Where the database is: DATABASE_URL, or else the embedded Postgres, which is started by the first call and shared by
 * all later ones. A start that failed is tried again by the next call.
 */
export function connectionSettings(): Promise<ClientConfig> {
  settings ??= findDatabase().catch((error: unknown) => {
    settings = undefined;
    throw error;
  });
  return settings;
}

async function findDatabase(): Promise<ClientConfig> {
  const { databaseUrl, dataFolder } = envConfig();
  if (databaseUrl !== undefined) return { connectionString: databaseUrl };
  const { startEmbeddedPostgres } = await import('../embedded-postgres.js');
  const embedded = await startEmbeddedPostgres({ dataFolder });
  releaseServer = () => embedded.release();
  return embedded.connection;
}

/** Has `close` called by closeDatabase(). For whoever opens a pool. */
export const onDatabaseClose = (close: Close): void => void closers.push(close);

/**
 * Closes every pool, each for a second at most, then lets go of the embedded Postgres, if that is what was used. A pool that
 * does not close is logged and keeps nothing else open.
 * @throws {SharedByRuns} inside a run: the database is every run's
 */
export async function closeDatabase(): Promise<void> {
  refuseInRuns('call closeDatabase()', "Leave the call out: a run's connections are given back by themselves.");
  await Promise.all(closers.splice(0).map(closeInTime));
  const release = releaseServer;
  releaseServer = undefined;
  settings = undefined;
  await release?.();
}

async function closeInTime(close: Close): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`A pool did not close within ${MOST_CLOSE_MS} ms: its connections in use are left behind`)), MOST_CLOSE_MS);
  });
  try {
    await Promise.race([close(), tooLong]);
  } catch (error) {
    logger.error(error, { tag: TAG, during: 'closing the database' });
  } finally {
    clearTimeout(timer);
  }
}
