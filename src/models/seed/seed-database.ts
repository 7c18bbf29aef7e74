import pg from 'pg';
import { envConfig } from '../../lib/env-config.js';
import { insertRows } from './insert-rows.js';
import { openFaker } from './open-faker.js';
import { readRealZipCodes } from './real-zip-codes.js';
import { insertOrganisation } from './synthetic-organisation.js';
import { type NewPatient, syntheticPatients } from './synthetic-patients.js';
import { type Work, workMaker } from './synthetic-work.js';

/** The database is none to put synthetic people into. Nothing was changed, and the message says why. */
export class SeedRefused extends Error {
  override readonly name = 'SeedRefused';
}

export interface SeedOptions {
  /** How many patients. */
  readonly patients: number;
  /** Leave a database alone that has any patient or postal code, or that another process is seeding, in place of refusing or waiting. */
  readonly onlyIfEmpty?: boolean;
  readonly signal?: AbortSignal;
  /** Told now and then how many patients are in. */
  readonly onProgress?: (patients: number) => void;
  /** What the moments are counted from. */
  readonly now?: Date;
}

export const DEFAULT_PATIENTS = 5_000;

/** As many patients, with their workflows and tasks, go in at a time. */
const BATCH = 5_000;

/** Any number will do, as long as every process that seeds this database takes the same one. */
const ADVISORY_LOCK = 4_719_002_332;

/**
 * Fills a migrated database with people who do not exist, all in one transaction: whoever looks sees nothing of it, or all. They are the same
 * at every call; patients are marked by source = 'synthetic'. It leaves zip_code to cache-zip-codes. Any number of processes may
 * call it at once: one of them seeds.
 * @returns whether it seeded: false where it was done before
 * @throws {SeedRefused} in production, and where there are patients who are not synthetic
 */
export async function seedDatabase(connection: pg.ClientConfig, options: SeedOptions): Promise<boolean> {
  if (envConfig().deployment === 'production') throw new SeedRefused('DEPLOYMENT is production: no synthetic people are put there.');
  const client = new pg.Client(connection);
  // The query on a broken connection reports it. Without a listener, the error that the connection emits besides would end the process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('begin');
    const isWanted = await claim(client, options);
    if (isWanted) await fill(client, options);
    await client.query('commit');
    return isWanted;
  } finally {
    // Before its commit, that takes everything back.
    await client.end();
  }
}

/** Waits for one's turn, which lasts until the transaction's end, and looks whether there is anything to do. */
async function claim(client: pg.Client, { onlyIfEmpty = false }: SeedOptions): Promise<boolean> {
  if (onlyIfEmpty) {
    const { rows } = await client.query<{ isMine: boolean }>('select pg_try_advisory_xact_lock($1) as "isMine"', [ADVISORY_LOCK]);
    if (!rows[0]!.isMine) return false;
  } else {
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK]);
  }
  const has = async (rows: string): Promise<boolean> => (await client.query<{ has: boolean }>(`select exists (select from ${rows}) as has`)).rows[0]!.has;
  if (onlyIfEmpty) return !(await has('patient')) && !(await has('zip_code'));
  if (await has(`patient where source <> 'synthetic'`)) {
    throw new SeedRefused("The database has patients whose source is not 'synthetic': nothing was changed. Seed another database.");
  }
  return !(await has('patient'));
}

async function fill(client: pg.Client, { patients: count, signal, onProgress, now = new Date() }: SeedOptions): Promise<void> {
  const [faker, zipCodes] = await Promise.all([openFaker(), readRealZipCodes()]);
  const organisation = await insertOrganisation(client, faker, zipCodes, now);
  const people = syntheticPatients({ faker, zipCodes, now, ...organisation });
  const workOf = workMaker({ faker, now, ...organisation });
  let inserting = Promise.resolve();
  for (let done = 0; done < count; done += BATCH) {
    // While Postgres writes the ones before.
    const patients = Array.from({ length: Math.min(BATCH, count - done) }, () => people.next().value);
    const work = patients.map(workOf);
    await inserting;
    if (done > 0) onProgress?.(done);
    signal?.throwIfAborted();
    inserting = insertAll(client, patients, work);
  }
  await inserting;
  // Or the first queries would be planned for empty tables.
  await client.query('analyze patient, workflow, task');
}

async function insertAll(client: pg.Client, patients: readonly NewPatient[], work: readonly Work[]): Promise<void> {
  await insertRows(client, 'patient', patients);
  await insertRows(client, 'workflow', work.flatMap(({ workflows }) => workflows));
  await insertRows(client, 'task', work.flatMap(({ tasks }) => tasks));
}
