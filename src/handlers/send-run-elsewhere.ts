import { setTimeout as delay } from 'node:timers/promises';
import type { Response } from 'express';
import { blank, type Problem } from '../lib/problem.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import type { RunDetail } from '../models/run-history.js';
import { sendResult, sendRunProblem } from './send-run.js';

const LONGEST_WAIT_MS = 5_000;
const PAUSE_MS = 250;

/**
 * Answers a repeated delivery with the outcome of the run that the first one started, here or at another replica: waits a
 * little for it, and answers 202 with its address when it is still running then.
 */
export async function sendRunElsewhere(res: Response, runId: string): Promise<void> {
  const until = performance.now() + LONGEST_WAIT_MS;
  let run = await BatchJobRun.find(runId);
  while (run?.status === 'running' && performance.now() < until) {
    await delay(PAUSE_MS);
    run = await BatchJobRun.find(runId);
  }
  if (!run || run.status === 'running' || run.status === 'queued') {
    return sendResult(res, runId, 202, JSON.stringify({ runId, status: run?.status ?? 'running' }));
  }
  const status = run.httpStatus ?? (run.status === 'succeeded' ? 200 : 500);
  if (run.error) return sendRunProblem(res, runId, problemOfRow(run, status));
  sendResult(res, runId, status, run.result === null ? undefined : JSON.stringify(run.result));
}

/** What the first caller was told, from the row. */
function problemOfRow({ error }: RunDetail, status: number): Problem {
  const { detail, data, errors } = (error ?? {}) as Partial<Problem>;
  return { ...blank(status), ...(detail && { detail }), ...(data !== undefined && { data }), ...(errors && { errors }) };
}
