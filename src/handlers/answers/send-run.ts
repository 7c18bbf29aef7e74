import type { Response } from 'express';
import logger from '../../lib/logging.js';
import { blank, type Problem } from '../../lib/errors/problem.js';
import type { RunWrites } from '../../lib/run-knex/write-totals.js';
import type { FinishedRun } from '../../runs/run-result.js';

const TAG = 'http';

/** Whatever is answered, a refusal too, says which run it is about. */
export const nameRun = (res: Response, runId: string): void => void res.set({ Location: `/runs/${runId}`, 'Job-Run-Id': runId });

/** Answers with what a run came to. */
export function sendRun(res: Response, run: FinishedRun): void {
  const { outcome, recorded } = run;
  if (res.headersSent) return closeOwnAnswer(res, run);
  if (recorded !== 'recorded') return sendRunProblem(res, run.id, { ...blank(500), detail: UNRECORDED });
  if (outcome.problem) return sendRunProblem(res, run.id, outcome.problem, { ...run, retryAfterSeconds: outcome.retryAfterSeconds });
  sendResult(res, run.id, outcome.httpStatus, outcome.text, run);
}

const UNRECORDED = 'The outcome is unknown: the job ended, but that could not be recorded. Look at what it did before you run it again.';

/**
 * A job that answered by itself (through req.res) has had its answer. One that it left open is ended for it; or cut off,
 * when the run was no success: its status has gone out already, and nothing else can tell the caller.
 */
function closeOwnAnswer(res: Response, { id, outcome: { status }, recorded }: FinishedRun): void {
  if (res.writableEnded || res.destroyed) return;
  const isWhole = status === 'succeeded' && recorded === 'recorded';
  logger.warn(`The job left its own answer open, so it was ${isWhole ? 'ended' : 'cut off'}`, TAG, { runId: id, status, recorded });
  // Whatever the job still writes is an error of the stream's, which would end the process if nobody heard it.
  res.on('error', (error) => logger.error(error, { tag: TAG, runId: id, during: 'writing to the answer of a run that has ended' }));
  if (isWhole) res.end();
  else res.destroy();
}

/** What the headers of an answer say of its run. */
export interface RunCounts {
  readonly writes?: RunWrites | undefined;
  readonly failedItems?: number | null | undefined;
}

/** Written directly: Express would hash every answer for an ETag, which no POST needs. */
export function sendResult(res: Response, runId: string, status: number, text: string | undefined, counts: RunCounts = {}): void {
  const counted = countHeaders(counts);
  if (text === undefined) {
    // Node leaves the body out of a 204 alone; for a 205 it would announce one in chunks (RFC 9110, 15.3.6).
    const length = status === 204 ? undefined : { 'Content-Length': 0 };
    res.writeHead(status, { ...length, Location: `/runs/${runId}`, 'Job-Run-Id': runId, ...counted }).end();
    return;
  }
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    Location: `/runs/${runId}`,
    'Job-Run-Id': runId,
    ...counted,
  });
  res.end(text);
}

const MOST_HEADER_BYTES = 2_048;

/** Job-Run-Failed-Items is there only where items failed: whoever looks at nothing else sees that. */
const countHeaders = ({ writes, failedItems }: RunCounts): Record<string, string> => ({
  ...writesHeader(writes),
  ...(failedItems && { 'Job-Run-Failed-Items': String(failedItems) }),
});

/** What the run wrote, for the header Job-Run-Writes: JSON, unless that is too long or holds what a header may not. */
function writesHeader(writes: RunWrites | undefined): Record<string, string> | undefined {
  if (writes === undefined) return undefined;
  const text = JSON.stringify(writes).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return text.length <= MOST_HEADER_BYTES ? { 'Job-Run-Writes': text } : { 'Job-Run-Writes': '{"...":"see the run"}' };
}

/** Answers with a run's problem; with its data alone where the job accepted it with a 2xx (AcceptableError). */
export function sendRunProblem(res: Response, runId: string, problem: Problem, { retryAfterSeconds, ...counts }: RunCounts & { readonly retryAfterSeconds?: number | undefined } = {}): void {
  if (problem.status < 300) return sendResult(res, runId, problem.status, acceptedText(problem), counts);
  const text = JSON.stringify({ ...problem, instance: `/runs/${runId}`, runId });
  res.writeHead(problem.status, {
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    Location: `/runs/${runId}`,
    'Job-Run-Id': runId,
    ...countHeaders(counts),
    ...(retryAfterSeconds && { 'Retry-After': String(retryAfterSeconds) }),
  });
  res.end(text);
}

/** An AcceptableError's data as JSON; undefined where its status has no body. */
const acceptedText = ({ status, detail, data = detail ?? null }: Problem): string | undefined =>
  status === 204 || status === 205 ? undefined : JSON.stringify(data);
