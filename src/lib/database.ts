import type { ClientConfig } from 'pg';
import { envConfig } from './env-config.js';

type Close = () => Promise<unknown>;

let settings: Promise<ClientConfig> | undefined;
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
  const { startEmbeddedPostgres } = await import('./embedded-postgres.js');
  const embedded = await startEmbeddedPostgres({ dataFolder });
  // First in the list, so closed last: the pools are closed before the server goes.
  closers.unshift(() => embedded.release());
  return embedded.connection;
}

/** Has `close` called by closeDatabase(). For whoever opens a pool. */
export const onDatabaseClose = (close: Close): void => void closers.push(close);

/** Closes every pool, then lets go of the embedded Postgres, if that is what was used. */
export async function closeDatabase(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
  settings = undefined;
}
