import { recorderPool } from '../lib/service-pools.js';

const UNDEFINED_TABLE = '42P01';

/** @throws {Error} when the database cannot be reached, or has not been migrated at all */
export async function checkSchema(): Promise<void> {
  try {
    await recorderPool.query({ text: 'select 1 from batch_job_run limit 0', values: [] });
  } catch (error) {
    if ((error as { code?: unknown }).code !== UNDEFINED_TABLE) throw error;
    throw new Error('The database is not migrated, and MIGRATE_ON_START is no: run npm run migrate', { cause: error });
  }
}
