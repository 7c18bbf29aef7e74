import { migrate } from '../lib/database/migrate.js';
import { migrationsOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { DEFAULT_PATIENTS, seedDatabase, SeedRefused } from '../models/seed/seed-database.js';
import { CliError } from './cli-error.js';
import { whileConnected } from './open-database.js';
import { note, writeResult } from './result-stream.js';

const MOST_PATIENTS = 9_999_999;
const PROGRESS_EVERY = 100_000;

/** Fills the database with synthetic people, once. @param patients how many, as it was typed */
export async function seedCommand(source: SourceTree, { patients: text = String(DEFAULT_PATIENTS) }: { patients?: string }): Promise<void> {
  const patients = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(patients >= 1 && patients <= MOST_PATIENTS)) throw new CliError(`--patients takes a whole number from 1 to ${MOST_PATIENTS}, not ${JSON.stringify(text)}`);
  const since = performance.now();
  const isSeeded = await whileConnected(async (connection) => {
    await migrate(migrationsOf(source, connection));
    return seedDatabase(connection, { patients, onProgress: (done) => done % PROGRESS_EVERY === 0 && note(`${done} patients`) }).catch(refusal);
  });
  if (!isSeeded) return writeResult('seeded before: nothing to do\n');
  writeResult(`seeded ${patients} synthetic patients in ${((performance.now() - since) / 1_000).toFixed(1)} s\n`);
  note('next: npm run -s job -- run cache-zip-codes');
}

function refusal(error: unknown): never {
  throw error instanceof SeedRefused ? new CliError(error.message, { cause: error }) : error;
}
