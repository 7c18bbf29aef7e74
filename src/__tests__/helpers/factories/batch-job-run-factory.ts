import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import { batchJobFactory } from './batch-job-factory.js';
import { defineFactory } from './define-factory.js';

/** A row of batch_job_run, column by name. */
export type BatchJobRunRow = Record<string, unknown>;

/** A run of the job no-op that succeeded a moment ago; `create` makes its job where there is none of that name yet. */
export const batchJobRunFactory = defineFactory<BatchJobRunRow>(
  'batch_job_run',
  () => ({ id: uuidv7(), jobName: 'no-op', status: 'succeeded', trigger: 'http', startedAt: new Date(), finishedAt: new Date() }),
  async (_given, { jobName }) => {
    await knex('batch_job').insert(batchJobFactory.build({ name: String(jobName) })).onConflict('name').ignore();
    return {};
  },
);

/** A row of batch_job_run: a run that succeeded a moment ago, but for what `overrides` say. */
export const buildBatchJobRun = (overrides: BatchJobRunRow = {}) => batchJobRunFactory.build(overrides);

/** Puts one into the database, and its job where there is none of that name yet. @returns the whole row */
export const createBatchJobRun = (overrides: BatchJobRunRow = {}): Promise<BatchJobRunRow> => batchJobRunFactory.create(overrides);
