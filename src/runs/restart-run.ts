import { isDeepStrictEqual } from 'node:util';
import type { JSONData } from '../jobs/helpers.js';
import { requireNamed } from '../lib/auth/require-named.js';
import { mayKeepToKeys } from './records/asked-keys.js';
import { listFailures } from './records/failures.js';
import { findRun, type RunDetail } from './records/history.js';
import type { JobCall } from './job-call.js';
import { type FinishedRun, onlyFinished } from './run-result.js';
import { keepBody } from './kept-body.js';
import { openSealedBody } from './records/sealed-bodies.js';
import { how, stateOf, whyNotAgain } from './records/run-refusals.js';
import { restartable } from './records/run-status.js';
import type { LoadedJob } from '../lib/job-files/module.js';
import type { Job, JobRegistry } from '../lib/job-files/registry.js';
import { runJob } from './run-job.js';
import { ServiceError } from '../lib/errors/service-error.js';

export interface RestartCall extends Pick<JobCall, 'by' | 'trace'> {
  /** `resume` goes on from the run's cursor; `retry` begins anew. */
  readonly mode: 'resume' | 'retry';
  /** Just the items that failed, as a run of its own. */
  readonly onlyFailed?: boolean;
  /** For a run whose own body was not kept whole, since it held personal data; undefined otherwise. */
  readonly body?: unknown;
}

/**
 * Starts a run again that ended badly, with its own body, as its next attempt; through the one door. A dry run stays one,
 * whatever its job takes for a default by now. The failed items are a new run's: the old one stays as it ended, and where it
 * did not get to its end it can still be resumed.
 * @throws {ServiceError} 404 without such a run or its job, 409 when it is none that can be started again, 503 as runJob
 */
export async function restartRun(registry: JobRegistry, id: string, call: RestartCall): Promise<FinishedRun> {
  const run = await findRun(id);
  if (!run) throw new ServiceError(404, 'There is no run of that id. GET /runs lists them; old ones are pruned.');
  const job = registry.find(run.jobName);
  if (!job) throw new ServiceError(404, `There is no job ${run.jobName} any more, so ${theRun(run)} cannot be started again. Bring the job back first.`);
  const { mode, onlyFailed = false, by, trace } = call;
  // Before the body is compared with the run's: who may not run the job may not guess at it either.
  const { callers } = (await tryLoad(job))?.config ?? {};
  if (by?.caller && callers) requireNamed(callers, by.caller, job.slug);
  // A run that cannot be started again is refused before a body is asked for. The claim looks at the status once more.
  if (!onlyFailed && !restartable.includes(run.status)) throw new ServiceError(409, whyNotAgain(run));
  const start = onlyFailed ? { parentRunId: id, onlyKeys: await failedKeys(run) } : { restart: { id, attempt: run.attempt, keepCursor: mode === 'resume' } };
  const body = await bodyFor(run, call.body, job);
  return onlyFinished(await runJob(job, { trigger: run.trigger, body, isDryRun: run.isDryRun, trace, by, action: mode, ...start }));
}

/**
 * The body to start the run with again: its own; where that was not kept whole, what was sealed of it, or else what came along.
 * @throws {ServiceError} 400 for a body that is not wanted, or is another; 409 when there is none
 */
async function bodyFor(run: RunDetail, sent: unknown, job: Job): Promise<unknown> {
  const which = theRun(run);
  const own = run.isBodyRedacted ? await openSealedBody(run.id) : (run.body ?? {});
  if (own !== undefined) {
    if (sent !== undefined) throw new ServiceError(400, `Send no body: ${which} is started again with its own. For another body, start the job anew.`);
    return own;
  }
  if (sent === undefined) throw new ServiceError(409, `The body of ${which} held personal data, and was not kept (or is erased by now): send it along once more.`);
  if (!(await isSameBody(run.body, sent, job))) throw new ServiceError(400, `This is another body than that of ${which} so it is not started again: send its own body, or start the job anew with this one.`);
  return sent;
}

/** One that cannot be loaded fails once its run is started. */
async function tryLoad(job: Job): Promise<LoadedJob | undefined> {
  try {
    return await job.load();
  } catch {
    return undefined;
  }
}

/** As far as what is left of the first one can tell. */
async function isSameBody(kept: unknown, sent: unknown, job: Job): Promise<boolean> {
  const loaded = await tryLoad(job);
  const { text = 'null' } = await keepBody(sent, loaded ? (loaded.RequestBody ?? 'none') : 'unknown');
  return isDeepStrictEqual(JSON.parse(text), kept);
}

/** Each one once: an item that was come by in two attempts may have failed in both. @throws {ServiceError} 409 when none failed, or more may, or the job would do all others too */
async function failedKeys(run: RunDetail): Promise<readonly JSONData[]> {
  const { id, status, failedItems } = run;
  if (status === 'queued' || status === 'running') {
    throw new ServiceError(409, `Run ${id} ${stateOf(run)}: which items fail is known once it has ended. Wait for it, or cancel it first.`);
  }
  const failures = await listFailures(id);
  if (failures.length === 0) throw new ServiceError(409, failedItems ? whyNoneKept(run) : whyNoneFailed(run));
  if (!(await mayKeepToKeys(id))) throw new ServiceError(409, whyNotJustThese(run));
  return [...new Map(failures.map(({ key }) => [JSON.stringify(key), key])).values()];
}

/** Such as `run <id>, which is lost since <time>,`. */
const theRun = (run: RunDetail): string => `run ${run.id}, which ${stateOf(run)},`;

function whyNoneFailed(run: RunDetail): string {
  const none = `No item of run ${run.id} failed: it ${stateOf(run)}`;
  if (run.status === 'succeeded') return `${none}, and nothing of it is left to do. To do its work once more, start its job anew.`;
  if (run.status === 'skipped') return `${none}, and nothing of it was run. Start its job anew.`;
  return `${none}. To go on with it: ${how('resume', run.id)}. To begin anew: ${how('retry', run.id)}`;
}

const whyNoneKept = (run: RunDetail): string =>
  `Items of ${theRun(run)} failed, and it is not known which: they could not be written, or its process died before. Resume the run (${how('resume', run.id)}), or retry the whole of it: ${how('retry', run.id)}`;

/** For the job's author, who has a loop of their own. */
const whyNotJustThese = (run: RunDetail): string =>
  `The failed items of ${theRun(run)} cannot be retried alone: its job never asked for run.onlyKeys, so it would do all of its items again. `
  + 'Write in the job: const { onlyKeys } = currentRun(); and where onlyKeys is not undefined, do just the items with these keys, the ones that it gives to failure() '
  + '(src/jobs/README.md, "Items that fail"). Run the job so once, a dry run will do, and retry these items then; or retry the whole run.';
