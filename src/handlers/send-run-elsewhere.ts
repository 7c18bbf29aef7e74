import { setTimeout as delay } from 'node:timers/promises';
import type { Response } from 'express';
import logger from '../lib/logging.js';
import { blank, type Problem } from '../lib/problem.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import type { RunDetail } from '../models/run-history.js';
import { sendResult, sendRunProblem } from './send-run.js';

const TAG = 'http';
const LONGEST_WAIT_MS = 5_000;
const PAUSE_MS = 250;

/**
 * Answers a repeated delivery with the outcome of the run that the first one started, here or at another replica: waits a
 * little for it, and answers 202 with its address when it is still running then; 503 when it cannot be looked up.
 */
export async function sendRunElsewhere(res: Response, runId: string): Promise<void> {
  let run: RunDetail | undefined;
  try {
    run = await awaitEnd(runId);
  } catch (error) {
    logger.error(error, { tag: TAG, runId, during: 'looking up the run of a repeated delivery' });
    const problem = { ...blank(503), detail: 'This delivery has a run already, which could not be looked up. Send it again.' };
    return sendRunProblem(res, runId, problem, { retryAfterSeconds: RETRY_AFTER_SECONDS });
  }
  if (!run || run.status === 'running' || run.status === 'queued') {
    return sendResult(res, runId, 202, JSON.stringify({ runId, status: run?.status ?? 'running' }));
  }
  const status = run.httpStatus ?? (run.status === 'succeeded' ? 200 : 500);
  if (run.error) return sendRunProblem(res, runId, problemOfRow(run, status));
  sendResult(res, runId, status, resultText(run, status));
}

const RETRY_AFTER_SECONDS = 5;

async function awaitEnd(runId: string): Promise<RunDetail | undefined> {
  const until = performance.now() + LONGEST_WAIT_MS;
  let run = await BatchJobRun.find(runId);
  while (run?.status === 'running' && performance.now() < until) {
    await delay(PAUSE_MS);
    run = await BatchJobRun.find(runId);
  }
  return run;
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

/** The size of the result of which just a note was stored (lib/storable-json.ts), or undefined when it was stored whole. */
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
