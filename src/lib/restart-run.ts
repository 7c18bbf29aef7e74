import type { JSONData } from '../jobs/helpers.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { overlapRefused } from '../models/run-overlap.js';
import type { FinishedRun } from '../models/run-lifecycle.js';
import type { JobRegistry } from './job-registry.js';
import { runJob } from './run-job.js';
import { ServiceError } from './service-error.js';

export interface RestartCall {
  /** `resume` goes on from the run's cursor; `retry` begins anew. */
  readonly mode: 'resume' | 'retry';
  /** Just the items that failed in the last attempt. */
  readonly onlyFailed?: boolean;
  readonly requestedBy?: string | undefined;
  readonly trace?: string | undefined;
}

/**
 * Starts a run again that ended badly, with its own body, as its next attempt; through the one door. The failed items of
 * one that succeeded all the same are a new run's, since what has succeeded is done.
 * @throws {ServiceError} 404 without such a run or its job, 409 when it is none that can be started again, 503 as runJob
 */
export async function restartRun(registry: JobRegistry, id: string, call: RestartCall): Promise<FinishedRun> {
  const run = await BatchJobRun.find(id);
  if (!run) throw new ServiceError(404, 'There is no run of that id. GET /runs lists them; old ones are pruned.');
  const job = registry.find(run.jobName);
  if (!job) throw new ServiceError(404, `There is no job ${run.jobName} any more, so its run cannot be started again.`);
  const { mode, onlyFailed = false, requestedBy, trace } = call;
  const start =
    onlyFailed && run.status === 'succeeded'
      ? { parentRunId: id, onlyKeys: await failedKeys(id) }
      : { restart: { id, keepCursor: mode === 'resume', onlyFailed, requestedBy } };
  const finished = await runJob(job, { trigger: run.trigger, body: run.body ?? {}, requestedBy, trace, ...start });
  if ('elsewhere' in finished) throw overlapRefused();
  return finished;
}

/** @throws {ServiceError} 409 when none failed */
async function failedKeys(id: string): Promise<readonly JSONData[]> {
  const failures = await BatchJobRun.listFailures(id);
  if (failures.length === 0) throw new ServiceError(409, 'No item of this run failed.');
  return failures.map(({ key }) => key);
}
