import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';
import { inTurn } from '../lib/process/loop-turns.js';
import { runInScope } from '../lib/run-scope.js';
import type { ActiveRun } from './active-run.js';
import { removeActiveRun } from './active-runs.js';
import { outcomeOf, type RunOutcome, type Settled } from './outcome.js';
import { finishRun } from './records/finish.js';
import type { FinishedRun } from './run-result.js';
import { finishAbandoned, hasOpenSubRuns } from './sub-runs.js';

const TAG = 'run';

/**
 * Settle: takes the database away from what the job left behind, makes an outcome of how its work settled, and commits it, for this
 * attempt and only while the row is still running. From then on the run is active no more. Never rejects.
 */
export async function settleRun(run: ActiveRun, settled: Settled): Promise<FinishedRun> {
  const { id, attempt } = run;
  if (run.openedDatabase) await run.closeDatabase();
  else void run.closeDatabase();
  // Inside: a value that the job returned may have code of its own (toJSON, getters).
  const outcome = await runInScope(run, () => inTurn(() => outcomeOf(settled, run.stopReason, run.scrubber)));
  runInScope(run, () => report(run, settled, outcome));
  if (hasOpenSubRuns()) await finishAbandoned(id);
  if (run.failures) await run.failures.settle(envConfig().outcomeDeadline);
  // Beside the outcome, which waits for no line.
  const logged = run.log?.flush();
  const recorded = await commit(run, outcome);
  removeActiveRun(run);
  // Those that were begun while the outcome was committed: from now on none can be.
  if (hasOpenSubRuns()) await finishAbandoned(id);
  if (logged) await orAfter(LONGEST_LOG_WAIT_MS, logged);
  return { kind: 'finished', id, attempt, settled, outcome, recorded, writes: run.openedDatabase?.writes, failedItems: run.failedItems };
}

/** ms that an answer waits for the run's last lines, so that whoever reads the log right after it finds them. */
const LONGEST_LOG_WAIT_MS = 1_000;

/** Resolves as `work`, which never rejects, does; or in vain after `ms`. */
function orAfter(ms: number, work: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void work.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** One line for every run that did not succeed; those that did have their row. */
function report({ id, jobName }: ActiveRun, settled: Settled, { status, httpStatus, problem, isCircular }: RunOutcome): void {
  if (isCircular) logger.warn('The result holds a circle, which was cut', TAG, { runId: id, jobName });
  if (status === 'succeeded') return;
  const run = { runId: id, jobName, status, httpStatus };
  if (httpStatus < 500) logger.warn(`Run failed: ${problem?.detail ?? problem?.title}`, TAG, run);
  else logger.error('thrown' in settled ? settled.thrown : undefined, { tag: TAG, ...run });
}

async function commit(active: ActiveRun, outcome: RunOutcome): Promise<FinishedRun['recorded']> {
  const { id, attempt, jobName } = active;
  const { status, httpStatus, result, error } = outcome;
  const run = { tag: TAG, runId: id, jobName, status };
  try {
    const recorded = await finishRun({
      id, attempt, status, httpStatus, result, error, ...active.news(), keepsBody: active.failures !== undefined,
      failedItems: active.failedItems, asksForKeys: active.hasAskedForKeys,
    });
    if (recorded === 'fenced') logger.error(new Error('The run ended, but its row was no longer its own to finish'), run);
    return recorded;
  } catch (fault) {
    logger.error(fault, { ...run, during: 'recording the outcome of a run' });
    return 'unknown';
  }
}
