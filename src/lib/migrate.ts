import { readdir } from 'node:fs/promises';
import path from 'node:path';
import createKnex, { type Knex } from 'knex';
import pg from 'pg';
import { knexLog } from './knex-log.js';

/** Where the migrations are, and which database they are for. */
export interface Migrations {
  readonly connection: pg.ClientConfig;
  /** The folder of the migration files: YYYYMMDDHHMMSS_name, each with `up` and `down`. */
  readonly folder: string;
  /** How a file is imported: the entry files know, since Node and Jest differ in it. */
  readonly importFile: (file: string) => Promise<unknown>;
  /** Gives up waiting for the database and for one's turn. A migration that has begun is finished. */
  readonly signal?: AbortSignal;
}

/** Any number will do, as long as every process that migrates this database takes the same one. */
const ADVISORY_LOCK = 4_719_002_331;

/**
 * Brings the database to the newest migration. Any number of processes may do so at once: they take turns.
 * @returns the names of the migrations that were run
 */
export const migrate = (migrations: Migrations): Promise<string[]> =>
  inTurn(migrations, async (knex) => namesIn(await knex.migrate.latest(settings(migrations))));

/** Takes back the newest batch of migrations. @returns the names of those taken back */
export const rollBack = (migrations: Migrations): Promise<string[]> =>
  inTurn(migrations, async (knex) => namesIn(await knex.migrate.rollback(settings(migrations))));

async function inTurn<T>(migrations: Migrations, work: (knex: Knex) => Promise<T>): Promise<T> {
  const lock = await takeLock(migrations);
  const knex = createKnex({ client: 'pg', connection: { ...migrations.connection } as object, pool: { min: 0, max: 1 }, log: knexLog });
  try {
    // knex keeps a lock of its own in a table, where a killed process leaves it for ever. Ours ends with its connection,
    // and whoever holds ours is alone, so a row found locked is such a leftover.
    if (await knex.schema.hasTable('knex_migrations_lock')) await knex.migrate.forceFreeMigrationsLock(settings(migrations));
    return await work(knex);
  } finally {
    await knex.destroy();
    await lock.end().catch(ignore);
  }
}

/** A connection that holds the lock, and does until it ends. */
async function takeLock({ connection, signal }: Migrations): Promise<pg.Client> {
  const client = new pg.Client(connection);
  // A connection that breaks is told by the query that is on it; unheard, the error that it emits would end the process.
  client.on('error', ignore);
  const lock = async (): Promise<void> => {
    await client.connect();
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
  };
  try {
    await unlessAborted(lock, signal);
    return client;
  } catch (error) {
    // Not waited for: the server may not even be there.
    client.end().catch(ignore);
    throw error;
  }
}

function unlessAborted(work: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return work();
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', giveUp, { once: true });
    work().then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp)).catch(ignore);
  });
}

const ignore = (): void => undefined;

const settings = ({ folder, importFile }: Migrations): Knex.MigratorConfig => ({
  migrationSource: {
    getMigrations: () => listMigrations(folder),
    // Without the ending: a .ts in development and the .js built from it are one migration.
    getMigrationName: (file: string) => path.parse(file).name,
    getMigration: (file: string) => importFile(path.join(folder, file)) as Promise<Knex.Migration>,
  },
  // An older release must start on a database that a newer one has migrated: that is what rolling back a deployment is.
  disableMigrationsListValidation: true,
});

async function listMigrations(folder: string): Promise<string[]> {
  const files = await readdir(folder);
  return files.filter((file) => /^\d{14}_\w+\.[jt]s$/.test(file)).toSorted();
}

const namesIn = ([, files]: [number, string[]]): string[] => files.map((file) => path.parse(file).name);
