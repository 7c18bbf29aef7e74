import { uuidv7 } from 'uuidv7';
import { defineFactory } from './define-factory.js';

/** A row of batch_job. */
export interface BatchJobRow {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
}

/** A job that has run before, each of another name. */
export const batchJobFactory = defineFactory<BatchJobRow>('batch_job', ({ sequence }) => ({ id: uuidv7(), name: `job-${sequence}` }));
