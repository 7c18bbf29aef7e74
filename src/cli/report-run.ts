import type { FinishedRun, RunElsewhere } from '../runs/run-lifecycle.js';
import { readableDuration } from './readable.js';
import { note, writeJson } from './result-stream.js';

/** Does a run, writes its result to stdout and its end to stderr, and sets the exit code: 0 when it succeeded. */
export async function reportRun(running: () => Promise<FinishedRun | RunElsewhere>): Promise<void> {
  const started = performance.now();
  const run = await running();
  const took = readableDuration(performance.now() - started);
  if ('elsewhere' in run) {
    note("another run of this job is active, and its config.overlap is 'skip'");
    note(`skipped · run ${run.id}`);
    process.exitCode = 1;
    return;
  }
  const hasSucceeded = report(run);
  if (run.writes && Object.keys(run.writes).length > 0) note(`wrote ${JSON.stringify(run.writes)}`);
  note(`${run.recorded === 'recorded' ? run.outcome.status : 'unknown'} · run ${run.id} · ${took}`);
  process.exitCode = hasSucceeded ? 0 : 1;
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
