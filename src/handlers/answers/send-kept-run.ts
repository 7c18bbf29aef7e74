import type { Response } from 'express';
import { blank, type Problem } from '../../lib/errors/problem.js';
import { sendResult, sendRunProblem } from './send-run.js';

/** As much of a run's row as its answer is made of. */
export interface KeptRun {
  readonly id: string;
  readonly status: string;
  readonly httpStatus: number | null;
  readonly result?: unknown;
  readonly error?: object | null;
  readonly failedItems?: number | null;
}

/** Answers from a run's row: with what the caller got that the run was executed for, or that it was skipped. */
export function sendKeptRun(res: Response, run: KeptRun): void {
  const status = run.httpStatus ?? (run.status === 'succeeded' ? 200 : 500);
  if (run.error) sendRunProblem(res, run.id, problemOf(run.error, status), { failedItems: run.failedItems });
  else sendResult(res, run.id, status, resultText(run, status), { failedItems: run.failedItems });
}

/** What the first caller was told. */
function problemOf(error: object, status: number): Problem {
  const { detail, data, errors } = error as Partial<Problem>;
  return { ...blank(status), ...(detail && { detail }), ...(data !== undefined && { data }), ...(errors && { errors }) };
}

/** What the first caller got. A result that was stored cut is not passed off as it: the second gets a note of its own. */
function resultText({ id: runId, status, result }: KeptRun, httpStatus: number): string | undefined {
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
