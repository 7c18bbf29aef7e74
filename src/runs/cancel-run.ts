import { RunCancelled } from '../lib/errors/service-error.js';
import { activeRuns } from './active-runs.js';
import { requestCancel } from './records/cancel.js';

/**
 * Asks a run to stop, whichever process runs it: here at once, elsewhere within a second. A queued one is cancelled on the
 * spot.
 * @returns false when the run has ended already
 */
export async function cancelRun(id: string, requestedBy: string | undefined): Promise<boolean> {
  const isAsked = await requestCancel(id, requestedBy);
  if (isAsked) for (const run of activeRuns()) if (run.id === id) run.cancel(new RunCancelled(requestedBy));
  return isAsked;
}
