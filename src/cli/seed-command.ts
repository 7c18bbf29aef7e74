import { migrate } from '../lib/database/migrate.js';
import { readPool } from '../lib/database/service-pools.js';
import { envConfig } from '../lib/env-config.js';
import { migrationsOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { DEFAULT_PATIENTS, seedDatabase, SeedRefused } from '../models/seed/seed-database.js';
import { CliError } from './cli-error.js';
import { whileConnected } from './open-database.js';
import { note, writeResult } from './result-stream.js';

const MOST_PATIENTS = 9_999_999;
const PROGRESS_EVERY = 100_000;

/** Fills the database with synthetic people, once. @param patients how many, as it was typed */
export async function seedCommand(source: SourceTree, { patients: asked }: { patients?: string }): Promise<void> {
  const text = asked ?? String(DEFAULT_PATIENTS);
  const patients = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(patients >= 1 && patients <= MOST_PATIENTS)) throw new CliError(`--patients takes a whole number from 1 to ${MOST_PATIENTS}, not ${JSON.stringify(text)}`);
  const since = performance.now();
  const there = await whileConnected(async (connection) => {
    await migrate(migrationsOf(source, connection));
    const isSeeded = await seedDatabase(connection, { patients, onProgress: (done) => done % PROGRESS_EVERY === 0 && note(`${done} patients`) }).catch(refusal);
    return isSeeded ? undefined : countPatients();
  });
  if (there !== undefined) return sayWhatIsThere(there, asked === undefined ? undefined : patients);
  writeResult(`seeded ${patients} synthetic patients in ${((performance.now() - since) / 1_000).toFixed(1)} s\n`);
  note('next: npm run -s job -- run cache-zip-codes');
}

/** @param wanted how many were asked for, where that was said */
function sayWhatIsThere(there: number, wanted: number | undefined): void {
  writeResult(`seeded before: the database has ${there} synthetic patients. Nothing to do\n`);
  if (wanted === undefined || wanted === there) return;
  const command = `npm run -s seed -- --patients ${wanted}`;
  const other = envConfig().databaseUrl === undefined ? `DATA_FOLDER=.data/patients-${wanted}` : 'DATABASE_URL=postgres://...';
  note(`Only an empty database is seeded. For ${wanted} patients, seed another one, and start the service on it:\n  ${other} ${command}\n  ${other} npm start`);
}

async function countPatients(): Promise<number> {
  const { rows } = await readPool.query<{ count: number }>({ text: 'select count(*)::int as count from patient', values: [] });
  return rows[0]!.count;
}

function refusal(error: unknown): never {
  throw error instanceof SeedRefused ? new CliError(error.message, { cause: error }) : error;
}
