import type { Response } from 'express';
import { blank, type Problem } from '../lib/problem.js';
import type { FinishedRun } from '../models/run-lifecycle.js';

/** Answers with what a run came to. */
export function sendRun(res: Response, run: FinishedRun): void {
  // A job that answered by itself (through req.res) has had its answer.
  if (res.headersSent) return;
  const { outcome, recorded } = run;
  if (recorded !== 'recorded') return sendRunProblem(res, run.id, { ...blank(500), detail: UNRECORDED });
  if (outcome.problem) return sendRunProblem(res, run.id, outcome.problem, outcome.retryAfterSeconds);
  sendResult(res, run.id, outcome.httpStatus, outcome.text);
}

const UNRECORDED = 'The outcome is unknown: the job ended, but that could not be recorded. Look at what it did before you run it again.';

/** Written directly: Express would hash every answer for an ETag, which no POST needs. */
export function sendResult(res: Response, runId: string, status: number, text: string | undefined): void {
  if (text === undefined) {
    res.writeHead(status, { Location: `/runs/${runId}`, 'Job-Run-Id': runId }).end();
    return;
  }
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    Location: `/runs/${runId}`,
    'Job-Run-Id': runId,
  });
  res.end(text);
}

export function sendRunProblem(res: Response, runId: string, problem: Problem, retryAfterSeconds?: number): void {
  const text = JSON.stringify({ ...problem, instance: `/runs/${runId}`, runId });
  res.writeHead(problem.status, {
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    Location: `/runs/${runId}`,
    'Job-Run-Id': runId,
    ...(retryAfterSeconds && { 'Retry-After': String(retryAfterSeconds) }),
  });
  res.end(text);
}
