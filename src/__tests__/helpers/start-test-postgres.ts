import path from 'node:path';
import { register } from 'tsx/cjs/api';

const ROOT = path.resolve(__dirname, '../../..');

/** A server whose data nobody misses is three times as fast. */
const SETTINGS = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=300'];

/**
 * Jest's globalSetup: builds what specs run in processes of their own. It starts a Postgres, or takes the one of
 * TEST_DATABASE_URL, and makes on it a migrated database for the spec files to copy. Any number of `npm test` at once share one
 * server.
 */
export default async function startTestPostgres(): Promise<void> {
  // Jest resolves what a globalSetup imports by Node, to which ./file.js is not ./file.ts. tsx teaches it that.
  const unregister = register();
  try {
    const testPostgres = await import('./test-postgres.js');
    const { migrate } = await import('../../lib/database/migrate.js');
    const { buildForProcesses } = await import('./build-for-processes.js');
    await buildForProcesses();
    const { url, release } = await findServer();
    globalThis.releaseTestPostgres = release;

    const run = testPostgres.newRunName();
    testPostgres.announceRun(url, run);
    if (!process.env.TEST_DATABASE_URL) await dropAbandoned(testPostgres);
    const template = testPostgres.templateOf(run);
    await testPostgres.administer(`create database "${template}"`);
    const connection = { connectionString: testPostgres.urlOf(template) };
    await migrate({ connection, folder: path.join(ROOT, 'src/models/migrations'), importFile: (file) => import(file) });
    await testPostgres.administer(`alter database "${template}" with allow_connections false`);
  } finally {
    unregister();
  }
}

async function findServer(): Promise<{ url: string; release: () => Promise<void> }> {
  const url = process.env.TEST_DATABASE_URL;
  if (url) return { url, release: async () => undefined };
  const { startEmbeddedPostgres } = await import('../../lib/embedded-postgres.js');
  const { connection, release } = await startEmbeddedPostgres({ dataFolder: path.join(ROOT, '.data/test'), settings: SETTINGS });
  return { url: `postgres://postgres@localhost:5432/postgres?host=${encodeURIComponent(connection.host!)}`, release };
}

/** Drops the databases of runs that were killed. The embedded server has none of another machine's. */
async function dropAbandoned({ listDatabases, dropDatabase }: typeof import('./test-postgres.js')): Promise<void> {
  const { processExists } = await import('../../lib/embedded-postgres/postmaster.js');
  for (const database of await listDatabases()) {
    const pid = Number(database.split('_')[1]);
    // Another run may be dropping the same one.
    if (!processExists(pid)) await dropDatabase(database).catch(() => undefined);
  }
}

declare global {
  var releaseTestPostgres: (() => Promise<void>) | undefined;
}
