import { rm } from 'node:fs/promises';
// By its package's name, since Jest resolves what a globalTeardown imports by Node, to which ./file.js is not ./file.ts.
import { dropDatabase, listDatabases, runName } from '@commons/backend/__tests__/helpers/test-postgres.js';

/** Jest's globalTeardown: removes the build, drops what is left of this run's databases, and lets go of the server. */
export default async function stopTestPostgres(): Promise<void> {
  if (process.env.TEST_BUILD) await rm(process.env.TEST_BUILD, { recursive: true, force: true });
  const run = runName();
  for (const database of await listDatabases()) if (database.startsWith(run)) await dropDatabase(database);
  await globalThis.releaseTestPostgres?.();
}
