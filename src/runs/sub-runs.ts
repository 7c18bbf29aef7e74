import logger from '../lib/logging.js';
import { newRunId } from './records/run-id.js';
import { type CurrentRun, tryRunScope } from '../lib/run-scope.js';
import { ActiveRun } from './active-run.js';
import { beginStart, endStart, isActive } from './active-runs.js';
import { dropLease, keepLease, type Leased } from './heartbeat.js';
import { claimRow } from './records/claim-row.js';
import { finishRun } from './records/finish.js';

const TAG = 'sub-runs';

interface SubRun extends Leased {
  readonly parentRunId: string | undefined;
}

/** Runs that a job records by hand and has not completed yet, by id. */
const open = new Map<string, SubRun>();

/**
 * Starts a run of `jobName` that the caller ends with completeSubRun. One that is not completed by the end of the run it
 * was made in is recorded as failed.
 * @throws {TypeError} for what is no name, such as an object with a batchJobId
 */
export async function createSubRun(name: string): Promise<{ id: string }> {
  requireName(name, "BatchJobRun.create takes the job's name: BatchJobRun.create('sync-one-clinic')");
  const scope = tryRunScope();
  if (scope?.whyNoRuns !== undefined) throw new Error(scope.whyNoRuns);
  const parent = scope?.run;
  const jobName = scope?.scrubber?.text(name) ?? name;
  const id = newRunId();
  refuseAfterEnd(parent);
  const since = performance.now();
  beginStart(parent !== undefined);
  try {
    await claimRow({ id, jobName, trigger: 'run', isDryRun: parent?.isDryRun ?? false, parentRunId: parent?.id, seal: () => undefined });
    // Nothing of it can be stopped: it is a record, and its work is its parent's.
    const run: SubRun = { id, attempt: 1, parentRunId: parent?.id, leaseUntil: 0, askToStop: () => undefined, cancel: () => undefined };
    open.set(id, run);
    keepLease(run, since);
  } finally {
    endStart();
  }
  // Its parent may have ended meanwhile, as where nobody awaited this.
  if (hasEnded(parent)) await finish(id, 'failed', ABANDONED);
  refuseAfterEnd(parent);
  return { id };
}

const hasEnded = (parent: CurrentRun | undefined): boolean => parent instanceof ActiveRun && !isActive(parent);

/** @throws {Error} */
function refuseAfterEnd(parent: CurrentRun | undefined): void {
  if (hasEnded(parent)) throw new Error(`run ${parent!.id} has ended, so nothing can be recorded inside it any more: await what the job begins`);
}

const ABANDONED = { name: 'SubRunAbandoned', message: 'The run that recorded this run ended without completing it.' };

/** Job files are not always checked by TypeScript. @param call what to write @throws {TypeError} for what is no name */
export function requireName(name: unknown, call: string): void {
  if (typeof name !== 'string' || name === '') throw new TypeError(call);
}

/** Ends a run that createSubRun started. @throws {Error} when it is not running any more, or never was */
export async function completeSubRun(id: string, success: boolean): Promise<void> {
  const error = success ? undefined : { name: 'SubRunFailed', message: 'The job that recorded this run called it a failure.' };
  await finish(id, success ? 'succeeded' : 'failed', error);
}

/** Whether any sub-run is open in this process. */
export const hasOpenSubRuns = (): boolean => open.size > 0;

/** Ends as failed whatever the run `parentRunId` began and did not complete. Never rejects. */
export async function finishAbandoned(parentRunId: string): Promise<void> {
  const abandoned = [...open.values()].filter((run) => run.parentRunId === parentRunId);
  for (const ended of await Promise.allSettled(abandoned.map(({ id }) => finish(id, 'failed', ABANDONED)))) {
    if (ended.status === 'rejected') logger.error(ended.reason, { tag: TAG, during: 'ending abandoned sub-runs', parentRunId });
  }
}

async function finish(id: string, status: 'succeeded' | 'failed', error: { name: string; message: string } | undefined): Promise<void> {
  const run = open.get(id);
  if (!run) throw new Error(`the run ${id} is not one that is open here: it was completed already, or never begun`);
  open.delete(id);
  dropLease(run);
  const recorded = await finishRun({ id, attempt: 1, status, httpStatus: undefined, result: undefined, error: error && JSON.stringify(error) });
  if (recorded === 'fenced') throw new Error(`the run ${id} is not running any more: its lease passed`);
}
