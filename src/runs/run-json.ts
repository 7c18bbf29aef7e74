import type { RunSummary } from './records/history.js';

/** A run as the API shows it: its row, with the error in one piece and a word where the scheduler's name differs. */
export function runJson<Run extends RunSummary>({ errorName, errorMessage, ...run }: Run) {
  const { schedulerJobName, jobName } = run;
  return {
    // A detailed run brings its whole error along, which then stands in place of these two.
    error: errorName === null ? null : { name: errorName, message: errorMessage },
    ...run,
    ...(schedulerJobName !== null && schedulerJobName !== jobName && { schedulerNameDiffers: true }),
  };
}
