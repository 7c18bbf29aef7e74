import { claimRun } from './claim.js';
import { executeRun, type Work } from './execute.js';
import type { RunResult } from './run-result.js';
import type { RunStart } from './run-start.js';

/**
 * Records a run of `jobName` around `work`: its row is committed before the work starts, and its outcome before this resolves.
 * @throws {ServiceError} 503 when the row could not be written (then nothing was done) or the service is stopping, 409 for a run that cannot be started again
 */
export async function recordRun(jobName: string, work: Work, start: RunStart): Promise<RunResult> {
  const claim = await claimRun(jobName, start);
  return claim.kind === 'claimed' ? executeRun(claim.run, work) : claim;
}
