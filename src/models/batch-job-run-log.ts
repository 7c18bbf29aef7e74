import { insertLines, listLines } from '../runs/records/log-lines.js';

export type { LogPosition, RunLogRow } from '../runs/records/log-lines.js';

/** The table batch_job_run_log: what was logged inside a run. */
export const BatchJobRunLog = { insertLines, listLines };
