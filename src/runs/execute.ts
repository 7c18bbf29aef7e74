import logger from '../lib/logging.js';
import { RunLeaseLost, RunTimedOut } from '../lib/errors/service-error.js';
import { type CurrentRun, runInScope, tryCurrentRun } from '../lib/run-scope.js';
import type { ActiveRun } from './active-run.js';
import { removeActiveRun } from './active-runs.js';
import type { Settled } from './outcome.js';
import type { FinishedRun } from './run-result.js';
import { settleRun } from './settle.js';

const TAG = 'run';

/** What a claimed run does: its author's code; or it fails with what was found wrong before that could begin. */
export type Work = { readonly perform: (run: CurrentRun) => unknown } | { readonly fault: unknown };

/**
 * Execute: does the work of a run that this process has claimed, whoever asked for it, and settles it. Whatever the work throws
 * becomes the outcome. Never rejects.
 */
export async function executeRun(run: ActiveRun, work: Work): Promise<FinishedRun> {
  try {
    return await settleRun(run, await settledBy(run, work));
  } finally {
    removeActiveRun(run);
  }
}

/** Never rejects. */
async function settledBy(run: ActiveRun, work: Work): Promise<Settled> {
  if ('fault' in work) return { thrown: work.fault };
  // The process stood still since its claim (a machine that was paused), and another may have taken the run for lost and begun it anew.
  if (performance.now() > run.leaseUntil) run.giveUp(new RunLeaseLost());
  return run.hasGivenUp ? { thrown: run.stopReason } : perform(run, work.perform);
}

/** The only step that runs the author's code. Never rejects. */
async function perform(run: ActiveRun, work: (run: CurrentRun) => unknown): Promise<Settled> {
  const outer = tryCurrentRun();
  const stopWithOuter = () => run.askToStop(outer?.signal.reason);
  if (outer?.signal.aborted) stopWithOuter();
  outer?.signal.addEventListener('abort', stopWithOuter);
  run.begin();
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

function reportLate({ id, jobName }: ActiveRun, thrown: unknown): void {
  const run = { runId: id, jobName, note: 'settled after it had been given up on; its outcome stays as it is' };
  if (thrown === undefined) logger.warn('A run settled late', TAG, run);
  else logger.error(thrown, { tag: TAG, ...run });
}
