import type { Request, Response } from 'express';
import { envConfig } from '../lib/env-config.js';
import { blank } from '../lib/errors/problem.js';
import { ServiceError } from '../lib/errors/service-error.js';
import logger from '../lib/logging.js';
import { NOT_STARTED } from '../runs/records/doubtful-claim.js';
import { findRun, type RunDetail } from '../runs/records/history.js';
import type { RunResult } from '../runs/run-result.js';
import { untilEnded } from '../runs/until-ended.js';
import { sendKeptRun } from './answers/send-kept-run.js';
import { sendRunProblem } from './answers/send-run.js';
import { leavePlace, takePlaceAgain } from './middleware/admission-handler.js';

const TAG = 'http';
const RETRY_AFTER_SECONDS = 5;

/**
 * Answers a repeated delivery with the outcome of the run that the first one started, here or at another replica. It waits for
 * that outcome, and says no 2xx before it is certain: a scheduler would take it for success. While it waits it has none of the
 * MAX_ACTIVE_RUNS places.
 * @param run claims the run once more, when its process turns out to have died: of several that wait, one gets it
 * @returns what came of that, for the caller to answer with; undefined when it was answered
 * @throws {ServiceError} 503 when there is no place
 */
export async function awaitDelivery(req: Request, res: Response, first: string, run: () => Promise<RunResult>): Promise<Exclude<RunResult, { kind: 'elsewhere' }> | undefined> {
  const wait = beginWait(res);
  try {
    for (let id = first; (await answerOnceEnded(req, res, id, wait.signal)) === 'lost'; ) {
      const result = await run();
      if (result.kind !== 'elsewhere') return result;
      ({ id } = result);
    }
    return undefined;
  } finally {
    wait.end();
  }
}

/**
 * Begins the wait. It lasts until a run whose process died is known to be lost: its lease passes, the reaper looks three times a
 * lease, and a few seconds more. It ends at once when the caller hangs up.
 */
function beginWait(res: Response): { readonly signal: AbortSignal; end(): void } {
  const waiting = new AbortController();
  const { runLease } = envConfig();
  const timer = setTimeout(() => waiting.abort(STILL_RUNNING), runLease + runLease / 3 + 5_000);
  const hangUp = (): void => waiting.abort(GONE);
  res.once('close', hangUp);
  // It may have hung up before.
  if (res.closed || res.destroyed) hangUp();
  return {
    signal: waiting.signal,
    end() {
      clearTimeout(timer);
      res.off('close', hangUp);
    },
  };
}

const STILL_RUNNING = new Error('the run still goes on');
const GONE = new Error('the caller hung up');

/** @returns `lost` when the run's process died, or never began it: nothing was answered, the run is the caller's to claim, and it has a place again */
async function answerOnceEnded(req: Request, res: Response, runId: string, signal: AbortSignal): Promise<'answered' | 'lost'> {
  leavePlace(req);
  let run: RunDetail | undefined;
  try {
    const status = await untilEnded(runId, signal);
    if (status !== 'lost') run = await findRun(runId);
    if (status === 'lost' || run?.errorName === NOT_STARTED) {
      takePlaceAgain(req);
      return 'lost';
    }
    if (!run) throw new Error('the run was deleted meanwhile');
  } catch (error) {
    if (error !== GONE) refuse(res, runId, error);
    return 'answered';
  }
  sendKeptRun(res, run);
  return 'answered';
}

function refuse(res: Response, runId: string, error: unknown): void {
  if (error !== STILL_RUNNING && !(error instanceof ServiceError)) logger.error(error, { tag: TAG, runId, during: 'looking up the run of a repeated delivery' });
  sendRunProblem(res, runId, { ...blank(503), detail: whyUncertain(error) }, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

function whyUncertain(error: unknown): string {
  if (error === STILL_RUNNING) return "This delivery's run is still going, so its outcome is not certain. Send it again.";
  return error instanceof ServiceError ? error.message : 'This delivery has a run already, which could not be looked up. Send it again.';
}
