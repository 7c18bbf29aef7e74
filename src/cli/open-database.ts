import { setTimeout as delay } from 'node:timers/promises';
import type { ClientConfig } from 'pg';
import { closeDatabase, connectionSettings } from '../lib/database/database.js';
import { envConfig } from '../lib/env-config.js';
import { migrate } from '../lib/database/migrate.js';
import { flushRunLogs } from '../runs/log-buffer.js';
import { readPool } from '../lib/database/service-pools.js';
import { migrationsOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';
import { note } from './result-stream.js';

/**
 * Does `work` on the server's own database, migrated first as the server does it. The embedded Postgres is started where
 * it does not run, and shared where it does.
 */
export const withDatabase = <T>(source: SourceTree, work: () => Promise<T>): Promise<T> =>
  whileConnected(async (connection) => {
    const migrated = envConfig().migrateOnStart ? await migrate(migrationsOf(source, connection)) : [];
    if (migrated.length > 0) note(`migrated the database first (MIGRATE_ON_START=no keeps it as it is): ${migrated.join(', ')}`);
    return work();
  });

/** Does `work` with the database in reach, and lets go of it after. */
export async function whileConnected<T>(work: (connection: ClientConfig) => Promise<T>): Promise<T> {
  try {
    const connection = await findDatabase();
    // Asked first: this pool gives up after seconds, where the migrations' would wait for a minute.
    await readPool.query({ text: 'select 1', values: [] });
    return await work(connection);
  } finally {
    const lines = await flushRunLogs(LONGEST_LOG);
    if (lines > 0) note(`warning: ${lines} lines of the run's log are lost: they could not be written`);
    // A job that was given up on may still hold a connection, and is not waited for. Nor does a close that fails change
    // what the command has done.
    const closed = closeDatabase().catch((error: Error) => note(`warning: the database was not closed in order: ${error.message}`));
    await Promise.race([closed, delay(LONGEST_CLOSE)]);
  }
}

/** What keeps the embedded Postgres from starting says itself what to do. @throws {CliError} */
async function findDatabase(): Promise<ClientConfig> {
  try {
    return await connectionSettings();
  } catch (error) {
    throw new CliError((error as Error).message, { cause: error });
  }
}

/** ms */
const LONGEST_LOG = 2_000;
const LONGEST_CLOSE = 5_000;
