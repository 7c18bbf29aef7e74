import { ActiveRun } from '../lib/active-run.js';
import { envConfig } from '../lib/env-config.js';
import { toJson } from '../lib/json.js';
import logger from '../lib/logging.js';
import { newRunId } from '../lib/run-id.js';
import { createRunLogBuffer } from '../lib/run-log-buffer.js';
import { outcomeOf, type RunOutcome, type Settled } from '../lib/run-outcome.js';
import { type CurrentRun, runInScope, tryCurrentRun, tryRunScope } from '../lib/run-scope.js';
import { RunTimedOut, ServiceError } from '../lib/service-error.js';
import { toStorableJson } from '../lib/storable-json.js';
import { addActiveRun, refuseWhenStopping, removeActiveRun } from './active-runs.js';
import { BatchJob } from './batch-job.js';
import { BatchJobRunLog } from './batch-job-run-log.js';
import { type Claim, claimDelivery, type Delivery } from './run-delivery.js';
import { type FinishResult, finishRun, insertRunning, type NewRun, type RunTrigger } from './run-recorder.js';
import { finishAbandoned, hasOpenSubRuns } from './sub-runs.js';

const TAG = 'run';
/** The largest body that can be sent is smaller. */
const MOST_BODY_BYTES = 104_857_600;
const FOREIGN_KEY_VIOLATION = '23503';

/** What a run starts with; all of it is optional. */
export interface RunStart {
  readonly trigger?: RunTrigger | undefined;
  readonly body?: unknown;
  /** Default: that of the run this one is started in. */
  readonly isDryRun?: boolean | undefined;
  readonly requestedBy?: string | undefined;
  /** Default: RUN_TIMEOUT. */
  readonly timeoutMs?: number | undefined;
  readonly trace?: string | undefined;
  readonly delivery?: Delivery | undefined;
}

/** A run that ended, with its outcome committed, unless `recorded` says otherwise. */
export interface FinishedRun {
  readonly id: string;
  readonly attempt: number;
  readonly settled: Settled;
  readonly outcome: RunOutcome;
  /** `unknown`: the database did not take the outcome in time. `fenced`: the row was no longer this attempt's. */
  readonly recorded: FinishResult | 'unknown';
}

/** The same delivery is running, or has run: there, and not here. */
export interface RunElsewhere {
  readonly id: string;
  readonly elsewhere: true;
}

type Work = (run: CurrentRun) => unknown;

/**
 * Records a run around `work`: its row is committed before `work` starts, and its outcome before this resolves. Whatever
 * the work throws becomes the outcome.
 * @throws {ServiceError} 503 when the row could not be written (then `work` was not called) or the service is stopping
 */
export async function recordRun(jobName: string, work: Work, start: RunStart): Promise<FinishedRun | RunElsewhere> {
  refuseWhenStopping();
  const isDryRun = start.isDryRun ?? tryCurrentRun()?.isDryRun ?? false;
  const claim = await recordStarted(jobName, isDryRun, start);
  if (!claim.claimed) return { id: claim.id, elsewhere: true };
  const { timeoutMs = envConfig().runTimeout, trace = tryRunScope()?.trace } = start;
  const run = new ActiveRun({ id: claim.id, attempt: claim.attempt, jobName, isDryRun, timeoutMs, trace, openLog });
  addActiveRun(run);
  try {
    const settled = await perform(run, work);
    const outcome = outcomeOf(settled);
    report(run, settled, outcome);
    if (hasOpenSubRuns()) await finishAbandoned(run.id);
    if (run.log) await run.log.flush();
    const recorded = await recordFinished(run, outcome);
    return { id: run.id, attempt: run.attempt, settled, outcome, recorded };
  } finally {
    removeActiveRun(run);
  }
}

async function recordStarted(jobName: string, isDryRun: boolean, start: RunStart): Promise<Claim> {
  const { trigger = 'run', requestedBy, delivery } = start;
  const body = start.body === undefined ? undefined : toJson(start.body).text;
  const run: NewRun = {
    id: newRunId(),
    jobName,
    trigger,
    isDryRun,
    body: body && toStorableJson(body, MOST_BODY_BYTES),
    requestedBy,
    parentRunId: tryCurrentRun()?.id,
  };
  try {
    if (!BatchJob.isKnown(jobName)) await BatchJob.findOrCreateByName(jobName);
    return await insert(run, delivery);
  } catch (cause) {
    throw new ServiceError(503, 'The run could not be recorded, so the job was not run. Send it again.', { cause, retryAfterSeconds: 5 });
  }
}

async function insert(run: NewRun, delivery: Delivery | undefined): Promise<Claim> {
  try {
    if (delivery) return await claimDelivery(run, delivery);
    await insertRunning(run);
    return { claimed: true, id: run.id, attempt: 1 };
  } catch (error) {
    if ((error as { code?: unknown }).code !== FOREIGN_KEY_VIOLATION || !BatchJob.isKnown(run.jobName)) throw error;
    // The job's row went after it was seen. Once it is there again, so is the insert's chance.
    BatchJob.forget(run.jobName);
    await BatchJob.findOrCreateByName(run.jobName);
    return insert(run, delivery);
  }
}

/** The only step that runs the author's code. Never rejects. */
async function perform(run: ActiveRun, work: Work): Promise<Settled> {
  const outer = tryCurrentRun();
  const stopWithOuter = () => run.askToStop(outer?.signal.reason);
  outer?.signal.addEventListener('abort', stopWithOuter);
  const timer = setTimeout(giveUpInTime, run.timeoutMs, run);
  try {
    // Awaited inside, since a job may return what only then begins (a knex query), and throw where it stands.
    const working = runInScope(run, async () => await work(run));
    return { value: await run.untilSettled(working, (thrown) => reportLate(run, thrown)) };
  } catch (thrown) {
    return { thrown: run.meaningOf(thrown) };
  } finally {
    clearTimeout(timer);
    outer?.signal.removeEventListener('abort', stopWithOuter);
  }
}

const giveUpInTime = (run: ActiveRun): void => run.giveUp(new RunTimedOut(run.timeoutMs));

const openLog = ({ id, attempt }: CurrentRun) =>
  createRunLogBuffer({
    write: (lines) => BatchJobRunLog.insertLines(id, attempt, lines),
    onError: (error) => logger.error(error, { tag: TAG, during: 'keeping the log of a run', runId: id }),
  });

/** One line for every run that did not succeed; those that did have their row. */
function report({ id, jobName }: ActiveRun, settled: Settled, { status, httpStatus, problem, isCircular }: RunOutcome): void {
  if (isCircular) logger.warn('The result holds a circle, which was cut', TAG, { runId: id, jobName });
  if (status === 'succeeded') return;
  const run = { runId: id, jobName, status, httpStatus };
  if (httpStatus < 500) logger.warn(`Run failed: ${problem?.detail ?? problem?.title}`, TAG, run);
  else logger.error('thrown' in settled ? settled.thrown : undefined, { tag: TAG, ...run });
}

function reportLate({ id, jobName }: ActiveRun, thrown: unknown): void {
  const run = { runId: id, jobName, note: 'settled after it had been given up on; its outcome stays as it is' };
  if (thrown === undefined) logger.warn('A run settled late', TAG, run);
  else logger.error(thrown, { tag: TAG, ...run });
}

async function recordFinished({ id, attempt, jobName }: ActiveRun, outcome: RunOutcome): Promise<FinishedRun['recorded']> {
  const { status, httpStatus, result, error } = outcome;
  const run = { tag: TAG, runId: id, jobName, status };
  try {
    const recorded = await finishRun({ id, attempt, status, httpStatus, result, error });
    if (recorded === 'fenced') logger.error(new Error('The run ended, but its row was no longer its own to finish'), run);
    return recorded;
  } catch (fault) {
    logger.error(fault, { ...run, during: 'recording the outcome of a run' });
    return 'unknown';
  }
}
