import { unreachable } from '../lib/errors/unreachable.js';
import type { FinishedRun, RunResult } from '../runs/run-result.js';
import { failedItemsText } from './failed-items.js';
import { readableDuration } from './readable.js';
import { note, writeJson } from './result-stream.js';

/** Does a run, writes its result to stdout and its end to stderr, and sets the exit code: 0 when it succeeded. */
export async function reportRun(running: () => Promise<RunResult>): Promise<void> {
  const started = performance.now();
  const run = await running();
  const took = readableDuration(performance.now() - started);
  process.exitCode = hasSucceeded(run, took) ? 0 : 1;
}

function hasSucceeded(run: RunResult, took: string): boolean {
  switch (run.kind) {
    case 'finished':
      return reportFinished(run, took);
    case 'skipped':
      note(run.detail);
      note(`skipped · run ${run.id}`);
      return false;
    case 'elsewhere':
      note(`the run goes on in another process · run ${run.id}`);
      return false;
    default:
      return unreachable(run);
  }
}

function reportFinished(run: FinishedRun, took: string): boolean {
  const isSuccess = report(run);
  if (run.writes && Object.keys(run.writes).length > 0) note(`wrote ${JSON.stringify(run.writes)}`);
  const failed = failedItemsText(run.failedItems);
  const which = failed === undefined ? '' : ` · ${failed}: npm run -s job -- failures ${run.id}`;
  note(`${run.recorded === 'recorded' ? run.outcome.status : 'unknown'} · run ${run.id} · ${took}${which}`);
  return isSuccess;
}

/** @returns whether the run succeeded and is on record as that */
function report({ outcome, recorded }: FinishedRun): boolean {
  if (recorded !== 'recorded') {
    note('The outcome is unknown: the job ended, but that could not be recorded. Look at what it did before you run it again.');
    return false;
  }
  const { problem, text } = outcome;
  if (problem) {
    note(`${problem.status} ${problem.title}${problem.detail === undefined ? '' : `: ${problem.detail}`}`);
    if (problem.data !== undefined) note(`  ${JSON.stringify(problem.data)}`);
    for (const { path, message } of problem.errors ?? []) note(`  ${path || 'body'}: ${message}`);
  }
  if (text !== undefined) writeJson({ text });
  return outcome.status === 'succeeded';
}
