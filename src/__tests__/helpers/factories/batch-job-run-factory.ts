import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';

/** A row of batch_job_run: a run that succeeded a moment ago, but for what `overrides` say. */
export const buildBatchJobRun = (overrides: Record<string, unknown> = {}) => ({
  id: uuidv7(),
  jobName: 'no-op',
  status: 'succeeded',
  trigger: 'http',
  startedAt: new Date(),
  finishedAt: new Date(),
  ...overrides,
});

/** Puts one into the database, and its job where there is none of that name yet. @returns the whole row */
export async function createBatchJobRun(overrides: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  const run = buildBatchJobRun(overrides);
  await knex('batch_job').insert({ id: uuidv7(), name: run.jobName }).onConflict('name').ignore();
  const [row] = await knex('batch_job_run').insert(run).returning('*');
  return row as Record<string, unknown>;
}
