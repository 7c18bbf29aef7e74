import type { Request, Response } from 'express';
import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';
import { blank, type Problem } from '../lib/errors/problem.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { untilEnded } from '../runs/until-ended.js';
import type { RunDetail } from '../runs/records/history.js';
import { leavePlace, takePlaceAgain } from './middleware/admission-handler.js';
import { sendResult, sendRunProblem } from './answers/send-run.js';

const TAG = 'http';
const RETRY_AFTER_SECONDS = 5;

/** The wait of one request for a run that another delivery of the same key has started. */
export interface DeliveryWait {
  readonly signal: AbortSignal;
  end(): void;
}

/**
 * Begins the wait. It lasts until a run whose process died is known to be lost: its lease passes, the reaper looks three times a
 * lease, and a few seconds more. It ends at once when the caller hangs up.
 */
export function beginWait(res: Response): DeliveryWait {
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

/**
 * Answers a repeated delivery with the outcome of the run that the first one started, here or at another replica. It waits for
 * that outcome, and says no 2xx before it is certain: a scheduler would take it for success. While it waits it has none of the
 * MAX_ACTIVE_RUNS places.
 * @returns `lost` when the run's process died: nothing was answered, the run is the caller's to claim, and it has a place again
 * @throws {ServiceError} 503 when there is no place
 */
export async function sendRunElsewhere(req: Request, res: Response, runId: string, { signal }: DeliveryWait): Promise<'answered' | 'lost'> {
  leavePlace(req);
  let run: RunDetail | undefined;
  try {
    const status = await untilEnded(runId, signal);
    if (status === 'lost') {
      takePlaceAgain(req);
      return 'lost';
    }
    run = await BatchJobRun.find(runId);
    if (!run) throw new Error('the run was deleted meanwhile');
  } catch (error) {
    if (error !== GONE) refuse(res, runId, error);
    return 'answered';
  }
  const status = run.httpStatus ?? (run.status === 'succeeded' ? 200 : 500);
  if (run.error) sendRunProblem(res, runId, problemOfRow(run, status));
  else sendResult(res, runId, status, resultText(run, status));
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

/** What the first caller got. A result that was stored cut is not passed off as it: the second gets a note of its own. */
function resultText({ id: runId, status, result }: RunDetail, httpStatus: number): string | undefined {
  if (httpStatus === 204) return undefined; // Otherwise null is a result too.
  const bytes = bytesOfCut(result);
  if (bytes === undefined) return JSON.stringify(result);
  return JSON.stringify({ runId, status, resultCut: true, bytes, note: 'The first delivery got the result whole. It was too big to be kept, so it cannot be sent again.' });
}

/** A job may return the like of a note; what is this small was never cut. */
const LEAST_CUT_BYTES = 2_000;

/** The size of the result of which just a note was stored (lib/json/storable-json.ts), or undefined when it was stored whole. */
function bytesOfCut(result: unknown): number | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  const { truncated, tooDeep, bytes } = result as { truncated?: unknown; tooDeep?: unknown; bytes?: unknown };
  const isNote = (truncated === true || tooDeep === true) && Object.keys(result).every((key) => ['truncated', 'tooDeep', 'bytes', 'head'].includes(key));
  return isNote && typeof bytes === 'number' && bytes > LEAST_CUT_BYTES ? bytes : undefined;
}

/** What the first caller was told, from the row. */
function problemOfRow({ error }: RunDetail, status: number): Problem {
  const { detail, data, errors } = (error ?? {}) as Partial<Problem>;
  return { ...blank(status), ...(detail && { detail }), ...(data !== undefined && { data }), ...(errors && { errors }) };
}
