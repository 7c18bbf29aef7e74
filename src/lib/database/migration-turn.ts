import { readdir } from 'node:fs/promises';
import path from 'node:path';
import createKnex, { type Knex } from 'knex';
import pg from 'pg';
import { knexLog } from './knex-log.js';
import { untilStopped } from '../process/until-stopped.js';

/** Where the migrations are, and which database they are for. */
export interface Migrations {
  readonly connection: pg.ClientConfig;
  /** The folder of the migration files: YYYYMMDDHHMMSS_name, each with `up` and `down`. */
  readonly folder: string;
  /** How a file is imported: the entry files know, since Node and Jest differ in it. */
  readonly importFile: (file: string) => Promise<unknown>;
  /** Gives up waiting for the database, for one's turn, and for a table's lock. A migration that has begun is finished. */
  readonly signal?: AbortSignal;
  /** ms in which a migration must get the locks of its tables; default: five minutes. */
  readonly patienceMs?: number;
}

/** What a migration file exports. */
export interface MigrationFile {
  readonly up: (knex: Knex) => Promise<unknown>;
  readonly down?: (knex: Knex) => Promise<unknown>;
  /** `transaction: false` has knex run it outside a transaction. */
  readonly config?: { readonly transaction?: boolean };
  /** Why migrate:rollback must never take it back. */
  readonly irreversible?: string;
}

/** What whoever has the turn works with. */
export interface Turn {
  /** One connection, by which the migrations run. Its statements wait LOCK_TIMEOUT_MS for a lock, and then fail with 55P03. */
  readonly knex: Knex;
  /** The connection that holds the turn. It waits for no table. */
  readonly lock: pg.Client;
}

/** Any number will do, as long as every process that migrates this database takes the same one. */
const ADVISORY_LOCK = 4_719_002_331;

/**
 * ms. Whoever comes to a table after a migration that waits for it, waits behind the migration. So a migration waits for less
 * than the recorder's statements do (lock_timeout in service-pools.ts): no run fails because of it.
 */
const LOCK_TIMEOUT_MS = 500;

/** For the connection by which the migrations run. One of them may have set another for itself. */
export const LIMIT_LOCK_WAITS = `set lock_timeout = ${LOCK_TIMEOUT_MS}`;

/** The table in which knex notes what it has run. */
export const MIGRATION_TABLE = 'knex_migrations';

/** Does `work` while no other process migrates this database or takes a migration back. */
export async function whileAlone<T>(migrations: Migrations, work: (turn: Turn) => Promise<T>): Promise<T> {
  const lock = await takeLock(migrations);
  const knex = createKnex({
    client: 'pg',
    connection: { ...migrations.connection } as object,
    pool: { min: 0, max: 1, afterCreate: limitLockWaits },
    log: knexLog,
  });
  try {
    return await work({ knex, lock });
  } finally {
    await knex.destroy();
    await lock.end().catch(ignore);
  }
}

function limitLockWaits(client: pg.Client, done: (error: Error | null, client: pg.Client) => void): void {
  client.query(LIMIT_LOCK_WAITS, (error: Error | null) => done(error, client));
}

/** A connection that holds the lock until it ends. */
async function takeLock({ connection, signal }: Migrations): Promise<pg.Client> {
  const client = new pg.Client(connection);
  // The query on a broken connection reports it. Without a listener, the error that the connection emits besides would end the process.
  client.on('error', ignore);
  const lock = async (): Promise<void> => {
    await client.connect();
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
  };
  try {
    signal?.throwIfAborted();
    await untilStopped(lock(), signal);
    return client;
  } catch (error) {
    // Not waited for: the server may not even be there.
    client.end().catch(ignore);
    throw error;
  }
}

const ignore = (): void => undefined;

/** The migration files' names with their endings, in the order in which they run. */
export async function listMigrationFiles(folder: string): Promise<string[]> {
  const files = await readdir(folder);
  return files.filter((file) => /^\d{14}_\w+\.[jt]s$/.test(file)).toSorted();
}

/** A migration's name: without the ending, so that a .ts in development and the .js built from it are one migration. */
export const migrationName = (file: string): string => path.parse(file).name;
