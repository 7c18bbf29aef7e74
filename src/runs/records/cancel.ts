import { recorderPool } from '../../lib/database/service-pools.js';
import { RunCancelled } from '../../lib/errors/service-error.js';
import { activeRuns } from '../active-runs.js';

/**
 * Asks a run to stop, whichever process runs it: here at once, elsewhere within a second. A queued one is cancelled on the
 * spot.
 * @returns false when the run has ended already
 */
export async function cancelRun(id: string, requestedBy: string | undefined): Promise<boolean> {
  const { rowCount } = await recorderPool.query({
    text: `update batch_job_run
           set "cancelRequestedAt" = coalesce("cancelRequestedAt", now()), "cancelRequestedBy" = coalesce("cancelRequestedBy", $2),
             status = case status when 'queued' then 'cancelled' else status end,
             "finishedAt" = case status when 'queued' then now() end
           where id = $1 and status in ('queued', 'running')`,
    values: [id, requestedBy],
  });
  for (const run of activeRuns()) if (run.id === id) run.cancel(new RunCancelled(requestedBy));
  return rowCount === 1;
}
