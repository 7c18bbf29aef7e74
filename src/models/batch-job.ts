import { findOrCreateByName } from '../runs/records/job-rows.js';

/** The table batch_job: one row for each name that ever ran. */
export const BatchJob = { findOrCreateByName };
