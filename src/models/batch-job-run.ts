import type { CurrentRun } from '../lib/run-scope.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { cancelRun } from '../runs/cancel-run.js';
import { recordRun } from '../runs/record-run.js';
import { groupFailures, listFailures } from '../runs/records/failures.js';
import { findRun, listRuns, newestRuns } from '../runs/records/history.js';
import { markLostRuns } from '../runs/records/leases.js';
import { onlyFinished, RunSkipped } from '../runs/run-result.js';
import type { RunStart } from '../runs/run-start.js';
import { completeSubRun, createSubRun, requireName } from '../runs/sub-runs.js';

export { RunSkipped };

/** What a recorded run may be started with. */
export interface TrapOptions extends Omit<RunStart, 'action' | 'by' | 'delivery' | 'id' | 'kept' | 'lines' | 'restart' | 'trace'> {
  /** The name that its row has for who asked for it. */
  readonly requestedBy?: string | undefined;
}

/** What a job cannot choose, whether TypeScript has checked it or not: an id is made for one claim alone. */
const NOT_FOR_JOBS = { id: undefined, kept: undefined, lines: undefined } as const;

/**
 * Records a run of `jobName` around `work`, inside another run or on its own: its row is committed as `running` before
 * `work` starts, and its outcome before this settles. Settles as `work` does.
 * @throws {ServiceError} 503 when the row could not be written (then `work` was not called); 500 when the outcome could not
 * @throws {RunSkipped} 409 with `overlap: 'skip'` while another run of the job is active: `work` was not called, and a row says so
 */
async function trap<T>(jobName: string, work: (run: CurrentRun) => T | Promise<T>, { requestedBy, ...start }: TrapOptions = {}): Promise<T> {
  requireName(jobName, "BatchJobRun.trap takes the job's name, then the work: BatchJobRun.trap('sync-one-clinic', async () => {...})");
  const by = requestedBy === undefined ? undefined : { name: requestedBy, isVerified: false, source: undefined };
  const { id, recorded, settled } = onlyFinished(await recordRun(jobName, { perform: work }, { ...start, ...NOT_FOR_JOBS, by }));
  if (recorded !== 'recorded') {
    throw new ServiceError(500, `The outcome of run ${id} could not be recorded.`, { cause: 'thrown' in settled ? settled.thrown : undefined });
  }
  if ('thrown' in settled) throw settled.thrown;
  return settled.value as T;
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
