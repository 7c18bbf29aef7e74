import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

// The server of one `npm test`, as start-test-postgres.ts tells its workers of it: by their environment.

/** A run's databases are named test_<pid of npm test's process>_<random>_...: no two runs on one server meet. */
export const newRunName = (): string => `test_${process.pid}_${randomBytes(3).toString('hex')}`;

/** Tells the workers, which are started later, of the server and the run. */
export function announceRun(url: string, run: string): void {
  process.env.TEST_POSTGRES_URL = url;
  process.env.TEST_POSTGRES_RUN = run;
}

/** The name of the run that this process belongs to. @throws {Error} outside Jest */
export function runName(): string {
  const run = process.env.TEST_POSTGRES_RUN;
  if (!run) throw new Error('There is no test server: start-test-postgres.ts did not run before');
  return run;
}

/** The database that is migrated once, and copied for each spec file. */
export const templateOf = (run: string): string => `${run}_template`;

/** The address of another database on the run's server. */
export function urlOf(database: string): string {
  const url = new URL(process.env.TEST_POSTGRES_URL ?? '');
  url.pathname = `/${database}`;
  return url.href;
}

/** Copies the template, in about 20 ms. */
export async function createDatabase(database: string): Promise<void> {
  const until = performance.now() + 20_000;
  for (;;) {
    try {
      return void (await administer(`create database "${database}" template "${templateOf(runName())}"`));
    } catch (error) {
      // Postgres copies a database only while nobody is connected to it, be it a vacuum of its own.
      const isInUse = (error as pg.DatabaseError).code === '55006';
      if (!isInUse || performance.now() > until) throw error;
      await delay(50);
    }
  }
}

/** Drops it, whoever is still connected. */
export const dropDatabase = async (database: string): Promise<void> => void (await administer(`drop database if exists "${database}" with (force)`));

/** The names of all databases of the tests, whichever run they are of. */
export const listDatabases = async (): Promise<string[]> =>
  (await administer(`select datname as name from pg_database where datname ~ '^test_\\d+_'`)).map(({ name }) => String(name));

/** Runs one statement, outside any of the tests' databases. */
export async function administer(statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(process.env.TEST_POSTGRES_URL);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}
