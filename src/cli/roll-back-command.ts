import { createInterface } from 'node:readline/promises';
import { envConfig } from '../lib/env-config.js';
import type { Migrations } from '../lib/database/migration-turn.js';
import { isLocked } from '../lib/errors/postgres-fault.js';
import { type Loss, MOST_COUNTED, newestMigration, previewRollBack, rollBack, RollBackRefused } from '../lib/database/roll-back.js';
import { migrationsOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';
import { whileConnected } from './open-database.js';
import { note, writeResult } from './result-stream.js';

export interface RollBackOptions {
  /** Do not ask. */
  readonly yes?: boolean;
  /** Where DEPLOYMENT is production, it is meant. */
  readonly production?: boolean;
}

/**
 * Takes back one migration, the newest, once it was said what goes with it and somebody agreed.
 * @throws {CliError} when nobody agreed, and where it must not be done; then nothing was changed
 */
export async function rollBackCommand(source: SourceTree, options: RollBackOptions): Promise<void> {
  try {
    await whileConnected((connection) => rollBackNewest(migrationsOf(source, connection), options));
  } catch (error) {
    if (isLocked(error)) throw new CliError('others use the tables of the migration: nothing was changed. Try again when they are idle.', { cause: error });
    throw error instanceof RollBackRefused ? new CliError(error.message, { cause: error }) : error;
  }
}

async function rollBackNewest(migrations: Migrations, options: RollBackOptions): Promise<void> {
  const name = await newestMigration(migrations);
  if (name === undefined) {
    writeResult('nothing to roll back\n');
    return;
  }
  refuseProduction(name, options);
  note(`the newest migration is ${name}. Taking it back removes:\n${lossesText(await previewRollBack(migrations, name))}`);
  if (!options.yes && !(await isAgreed(name))) throw new CliError('nothing was changed');
  await rollBack(migrations, name);
  writeResult(`rolled back: ${name}\n`);
  if (envConfig().migrateOnStart) {
    note(`The next command, and the next start of the service, runs it again. To change it, edit its file now, before either. To keep it off, delete its file, or set MIGRATE_ON_START=no for both.`);
  }
}

/** @throws {CliError} */
function refuseProduction(name: string, { yes, production }: RollBackOptions): void {
  if (envConfig().deployment !== 'production' || (yes && production)) return;
  throw new CliError(
    `DEPLOYMENT is production, where ${name} is not taken back unless it is said twice: give both --yes and --production. ` +
      'What its tables and columns hold is lost then. An older release works on the database as it is.',
  );
}

/** @throws {CliError} when there is nobody to ask */
async function isAgreed(name: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new CliError('there is nobody to ask whether that is meant: give --yes, or run it in a terminal. Nothing was changed.');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`Take back ${name} now? [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

const lossesText = (losses: readonly Loss[]): string =>
  losses.length === 0 ? '  no table and no column' : losses.map(({ what, rows }) => `  ${what}${rows === undefined ? '' : ` with ${rowsText(rows)}`}`).join('\n');

const rowsText = (rows: number): string => (rows === 1 ? '1 row' : `${rows}${rows === MOST_COUNTED ? ' or more' : ''} rows`);
