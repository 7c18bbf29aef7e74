import { ActiveRun } from './active-run.js';
import { giveRoomBack } from '../lib/process/body-room.js';
import { dryRunWishIn } from './dry-run-wish.js';
import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';
import { inTurn } from '../lib/process/loop-turns.js';
import type { RunWrites } from '../lib/run-knex/write-totals.js';
import { outcomeOf, type RunOutcome, type Settled } from './outcome.js';
import { type CurrentRun, runInScope, tryCurrentRun, tryRunScope } from '../lib/run-scope.js';
import { RunTimedOut } from '../lib/errors/service-error.js';
import { addActiveRun, beginStart, endStart, isActive, removeActiveRun } from './active-runs.js';
import { type FinishResult, finishRun } from './records/run-recorder.js';
import { RUN_RECORDS } from './run-records.js';
import { keepBody } from './kept-body.js';
import { recordStarted, type RunStart } from './run-start.js';
import { finishAbandoned, hasOpenSubRuns } from './sub-runs.js';

const TAG = 'run';

/** A run that ended, with its outcome committed, unless `recorded` says otherwise. */
export interface FinishedRun {
  readonly id: string;
  readonly attempt: number;
  readonly settled: Settled;
  readonly outcome: RunOutcome;
  /** Rows that it wrote, by table and verb; undefined for a run that never used the database. */
  readonly writes: RunWrites | undefined;
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
  const run = await startRun(jobName, start);
  if ('elsewhere' in run) return run;
  const { id, attempt } = run;
  try {
    const settled = await perform(run, work);
    if (run.openedDatabase) await run.closeDatabase();
    else void run.closeDatabase();
    // Inside: a value that the job returned may have code of its own (toJSON, getters).
    const outcome = await runInScope(run, () => inTurn(() => outcomeOf(settled, run.stopReason, run.scrubber)));
    runInScope(run, () => report(run, settled, outcome));
    if (hasOpenSubRuns()) await finishAbandoned(id);
    if (run.failures) await run.failures.flush();
    // Beside the outcome, which waits for no line.
    const logged = run.log?.flush();
    const recorded = await recordFinished(run, outcome);
    removeActiveRun(run);
    if (logged) await atMost(LONGEST_LOG_WAIT_MS, logged);
    return { id, attempt, settled, outcome, recorded, writes: run.openedDatabase?.writes };
  } finally {
    removeActiveRun(run);
  }
}

/** ms that an answer waits for the run's last lines, so that whoever reads the log right after it finds them. */
const LONGEST_LOG_WAIT_MS = 1_000;

/** Resolves as `work`, which never rejects, does; or in vain after `ms`. */
function atMost(ms: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void work.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Commits the start, and from then on counts the run as active. */
async function startRun(name: string, start: RunStart): Promise<ActiveRun | RunElsewhere> {
  const outer = tryRunScope();
  if (outer?.whyNoRuns !== undefined) throw new Error(outer.whyNoRuns);
  // What a run has left behind is no part of it any more.
  const isNested = outer !== undefined && isActive(outer.run);
  const jobName = outer?.scrubber?.text(name) ?? name;
  // Whatever is started in a dry run is one too.
  const isDryRun = start.isDryRun === true || outer?.run.isDryRun === true || dryRunWishIn(start.body) !== undefined;
  const since = performance.now();
  beginStart(isNested);
  try {
    const kept = start.kept ?? (await keepBody(start.body, 'none', outer?.scrubber));
    const requestedBy = start.requestedBy && (outer?.scrubber?.text(start.requestedBy) ?? start.requestedBy);
    const claim = await recordStarted(jobName, isDryRun, { ...start, requestedBy }, kept);
    if (!claim.claimed) return { id: claim.id, elsewhere: true };
    const { id, attempt, cursor, onlyKeys } = claim;
    const timeoutMs = Math.min(start.timeoutMs ?? envConfig().runTimeout, LONGEST_TIMEOUT_MS);
    const trace = start.trace ?? outer?.trace;
    const run = new ActiveRun({ id, attempt, jobName, isDryRun, timeoutMs, trace, cursor, onlyKeys, countWrites: start.countWrites, scrubber: kept.scrubber, outer }, RUN_RECORDS);
    for (const line of start.lines ?? []) run.keepLine(line);
    addActiveRun(run, since, isNested);
    return run;
  } finally {
    giveRoomBack(start.body);
    endStart();
  }
}

/** What a timer can wait: beyond it, it would fire at once. */
const LONGEST_TIMEOUT_MS = 2_147_483_647;

/** The only step that runs the author's code. Never rejects. */
async function perform(run: ActiveRun, work: Work): Promise<Settled> {
  const outer = tryCurrentRun();
  const stopWithOuter = () => run.askToStop(outer?.signal.reason);
  if (outer?.signal.aborted) stopWithOuter();
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

async function recordFinished(active: ActiveRun, outcome: RunOutcome): Promise<FinishedRun['recorded']> {
  const { id, attempt, jobName } = active;
  const { status, httpStatus, result, error } = outcome;
  const run = { tag: TAG, runId: id, jobName, status };
  try {
    const recorded = await finishRun({
      id, attempt, status, httpStatus, result, error, ...active.news(), keepsBody: active.failures !== undefined,
    });
    if (recorded === 'fenced') logger.error(new Error('The run ended, but its row was no longer its own to finish'), run);
    return recorded;
  } catch (fault) {
    logger.error(fault, { ...run, during: 'recording the outcome of a run' });
    return 'unknown';
  }
}
