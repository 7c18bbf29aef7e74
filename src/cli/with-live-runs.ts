import type { SourceTree } from '../lib/job-files/source-tree.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { withDatabase } from './open-database.js';
import { note } from './result-stream.js';

/**
 * Does `work` on the server's own database, after the runs of dead processes were marked as lost: for every command that starts or
 * controls runs. There may be no server, and so nobody else who does it.
 */
export const withLiveRuns = <T>(source: SourceTree, work: () => Promise<T>): Promise<T> =>
  withDatabase(source, async () => {
    await markLostRuns();
    return work();
  });

/** Marks the runs of dead processes as lost, and says which. */
export async function markLostRuns(): Promise<void> {
  for (const { id, jobName, host } of await BatchJobRun.markLost()) {
    note(`run ${id} of ${jobName} is lost: its process${host === null ? '' : ` on ${host}`} died, or lost the database`);
  }
}
