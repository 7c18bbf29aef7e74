import type { RunRecords } from '../lib/active-run.js';
import logger from '../lib/logging.js';
import { RunFailureBuffer } from '../lib/run-failure-buffer.js';
import { createRunLogBuffer } from '../lib/run-log-buffer.js';
import { BatchJobRunLog } from './batch-job-run-log.js';
import { saveCursor } from './run-cursor.js';
import { insertFailures } from './run-failures.js';

const TAG = 'run-records';

/** Where what a run says of itself is kept. */
export const RUN_RECORDS: RunRecords = {
  openLog: ({ id, attempt }) =>
    createRunLogBuffer({
      write: (lines) => BatchJobRunLog.insertLines(id, attempt, lines),
      onError: (error) => logger.error(error, { tag: TAG, during: 'keeping the log of a run', runId: id }),
    }),
  openFailures: ({ id, attempt }) =>
    new RunFailureBuffer(
      (failures, trx) => insertFailures(id, attempt, failures, trx),
      (error) => logger.error(error, { tag: TAG, during: 'keeping failed items of a run', runId: id }),
    ),
  saveCursor,
};
