import { setTimeout as delay } from 'node:timers/promises';
import type { Knex } from 'knex';
import logger from '../logging.js';
import { forKnex, importMigration, MigrationFault } from './migration-file.js';
import { whileAlone, LIMIT_LOCK_WAITS, listMigrationFiles, migrationName, type Migrations, type Turn } from './migration-turn.js';
import { isLocked, isUnreachable } from '../errors/postgres-fault.js';
import { messageWithoutValues } from '../errors/postgres-message.js';

const TAG = 'migrate';

/** ms in which a migration must get the locks of its tables. */
const PATIENCE_MS = 300_000;
/** ms before the second try. Each pause is twice the one before it, up to the longest. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Brings the database to the newest migration, one by one. Any number of processes may do so at once: they take turns. A
 * migration that does not get a table's lock is rolled back and tried again, so that nobody waits behind it for long.
 * @returns the names of the migrations that were run
 * @throws {MigrationFault} for a migration that is not as it must be, or that fails
 * @throws {Error} naming the migration and who may hold the locks, when it did not get them in `patienceMs`
 */
export const migrate = (migrations: Migrations): Promise<string[]> =>
  whileAlone(migrations, async (turn) => {
    const names: string[] = [];
    for (;;) {
      const name = await migrateNext(migrations, turn);
      if (name === undefined) return names;
      names.push(name);
    }
  });

/** The migration that is being run, once knex has asked for it. */
interface Attempt {
  name?: string;
  /** Whether it may be tried again. */
  isRepeatable?: boolean;
}

/** Runs the next migration, if there is one. @returns its name */
async function migrateNext(migrations: Migrations, turn: Turn): Promise<string | undefined> {
  const giveUpAt = performance.now() + (migrations.patienceMs ?? PATIENCE_MS);
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const attempt: Attempt = {};
    try {
      await turn.knex.raw(LIMIT_LOCK_WAITS);
      // knex keeps a lock of its own in a table, where a killed process and a try that failed may leave it for ever. Whoever
      // has the turn is alone, so a row that is found locked is such a leftover.
      if (await turn.knex.schema.hasTable('knex_migrations_lock')) await turn.knex.migrate.forceFreeMigrationsLock(settings(migrations, attempt));
      const [, names] = (await turn.knex.migrate.up(settings(migrations, attempt))) as [number, string[]];
      return names[0];
    } catch (error) {
      // What ran outside a transaction has done a part of its work, which a second try would find in its way.
      if (!isLocked(error) || attempt.isRepeatable !== true) throw faultOf(error as Error, attempt);
      const holders = await longestTransactions(turn);
      const what = `Migration ${attempt.name} waits for a table that others use`;
      if (performance.now() + pause > giveUpAt) {
        throw new Error(`${what}, and has given up. The oldest transactions: ${holders}. End them, or wait for their end, and migrate again.`, { cause: error });
      }
      logger.warn(`${what}: it was rolled back, and is tried again`, TAG, { nextTryInMs: pause, oldestTransactions: holders });
      await pauseFor(pause, migrations.signal);
    }
  }
}

/** An error of a migration's own names its file. */
function faultOf(error: Error, { name, isRepeatable }: Attempt): Error {
  if (name === undefined || error instanceof MigrationFault || isUnreachable(error)) return error;
  const state = isRepeatable ? 'failed and was rolled back' : 'failed, and runs outside a transaction, so a part of it may be done';
  return new MigrationFault(`The migration ${name} ${state}: ${messageWithoutValues(error) ?? error.message}. Mend its file in models/migrations, and migrate again.`, { cause: error });
}

async function pauseFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, signal && { signal }).catch(() => undefined);
  signal?.throwIfAborted();
}

/** Who is likely to hold the locks. Never a query's text, which may hold personal data. */
async function longestTransactions({ lock }: Turn): Promise<string> {
  const { rows } = await lock.query<{ pid: number; name: string; seconds: number }>(
    `select pid, application_name as name, extract(epoch from now() - xact_start)::int as seconds from pg_stat_activity
     where datname = current_database() and xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'
     order by xact_start limit 3`,
  );
  return rows.map(({ pid, name, seconds }) => `process ${pid} (${name || 'unnamed'}, for ${seconds} s)`).join(', ') || 'none that can be seen';
}

/** @param attempt is told which migration is run, and whether it may be tried again */
const settings = (migrations: Migrations, attempt: Attempt): Knex.MigratorConfig => ({
  migrationSource: {
    getMigrations: () => listMigrationFiles(migrations.folder),
    getMigrationName: migrationName,
    async getMigration(file: string): Promise<Knex.Migration> {
      const migration = await importMigration(migrations, file);
      Object.assign(attempt, { name: migrationName(file), isRepeatable: migration.config?.transaction !== false });
      return forKnex(migration, file);
    },
  },
  // An older release must start on a database that a newer one has migrated: that is what rolling back a deployment is.
  disableMigrationsListValidation: true,
});
