import type { CurrentRun } from '../lib/run-scope.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { cancelRun } from '../runs/records/cancel.js';
import { groupFailures, listFailures } from '../runs/records/failures.js';
import { findRun, listRuns, newestRuns } from '../runs/records/history.js';
import { recordRun } from '../runs/run-lifecycle.js';
import { markLostRuns } from '../runs/heartbeat.js';
import type { RunStart } from '../runs/run-start.js';
import { completeSubRun, createSubRun } from '../runs/sub-runs.js';

/**
 * Records a run of `jobName` around `work`, inside another run or on its own: its row is committed as `running` before
 * `work` starts, and its outcome before this settles. Settles as `work` does.
 * @throws {ServiceError} 503 when the row could not be written (then `work` was not called); 500 when the outcome could not
 */
async function trap<T>(
  jobName: string,
  work: (run: CurrentRun) => T | Promise<T>,
  options: Omit<RunStart, 'delivery' | 'restart' | 'trace'> = {},
): Promise<T> {
  const finished = await recordRun(jobName, work, options);
  if ('elsewhere' in finished) throw new Error('a run without a delivery cannot be elsewhere');
  if (finished.recorded !== 'recorded') {
    throw new ServiceError(500, `The outcome of run ${finished.id} could not be recorded.`, {
      cause: 'thrown' in finished.settled ? finished.settled.thrown : undefined,
    });
  }
  if ('thrown' in finished.settled) throw finished.settled.thrown;
  return finished.settled.value as T;
}

/** The table batch_job_run: every run, from its start to its end. */
export const BatchJobRun = {
  trap,
  /** Starts a run of `jobName` that the caller completes; for jobs that record sub-runs of their own. */
  create: createSubRun,
  /** Ends a run that `create` started: succeeded or failed. */
  complete: completeSubRun,
  find: findRun,
  list: listRuns,
  newestByJob: newestRuns,
  markLost: markLostRuns,
  cancel: cancelRun,
  listFailures,
  groupFailures,
};
