import path from 'node:path';
import type { Knex } from 'knex';
import { type MigrationFile, migrationName, type Migrations } from './migration-turn.js';

/** A migration's file is not as it must be. The message names the file, says what is wrong, and what to do. */
export class MigrationFault extends Error {
  override readonly name = 'MigrationFault';
}

/**
 * Imports a migration's file.
 * @throws {MigrationFault} when it cannot be loaded, or exports no up
 */
export async function importMigration({ folder, importFile }: Migrations, file: string): Promise<MigrationFile> {
  const place = path.relative('', path.join(folder, file));
  const migration = (await importFile(path.join(folder, file)).catch((error: Error) => {
    throw new MigrationFault(`The migration ${place} cannot be loaded: ${error.message}`, { cause: error });
  })) as Partial<MigrationFile>;
  for (const name of ['up', 'down'] as const) {
    const found: unknown = migration[name];
    if (typeof found !== 'function' && (name === 'up' || found !== undefined)) throw new MigrationFault(`The migration ${place} exports no function ${name}. ${HOW_TO_WRITE_ONE}`);
  }
  return migration as MigrationFile;
}

const HOW_TO_WRITE_ONE =
  'Write: export async function up(knex: Knex): Promise<void> {...} and down, which takes it back. If it is not to run yet, delete the file: npm run migrate:make writes one with both.';

/** As knex wants it. It demands a down, which only migrate:rollback calls, and that refuses a migration without one. */
export const forKnex = (migration: MigrationFile, file: string): Knex.Migration => ({
  down: () => Promise.reject(new MigrationFault(`${migrationName(file)} has no down`)),
  ...(migration as Omit<Knex.Migration, 'down'>),
});
