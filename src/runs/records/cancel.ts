import { patiently } from '../../lib/database/patiently.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { envConfig } from '../../lib/env-config.js';
import { sqlMayBecome } from './run-status.js';

/**
 * Puts on record that a run is to stop: the process that runs it hears of it within a second. A queued one is cancelled on the spot.
 * @returns false when the run has ended already
 */
export async function requestCancel(id: string, requestedBy: string | undefined): Promise<boolean> {
  const cancel = () => recorderPool.query({
    text: `update batch_job_run
           set "cancelRequestedAt" = coalesce("cancelRequestedAt", now()), "cancelRequestedBy" = coalesce("cancelRequestedBy", $2),
             status = case status when 'queued' then 'cancelled' else status end,
             "finishedAt" = case status when 'queued' then now() end
           where id = $1 and ${sqlMayBecome('status', 'cancelled')}`,
    values: [id, requestedBy],
  });
  // Harmless when repeated.
  const { rowCount } = await patiently(cancel, envConfig().databaseAcquireTimeout);
  return rowCount === 1;
}
