import { setTimeout as delay } from 'node:timers/promises';
import { BatchJobRun } from '../models/batch-job-run.js';
import { envConfig } from './env-config.js';
import logger from './logging.js';

const TAG = 'reaper';

/** Marks runs of dead processes as `lost`, once and then several times a lease, until `signal` fires. Never rejects. */
export async function reapLostRuns(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await reapOnce();
    // Rejects when the signal fires, which ends the loop.
    await delay(envConfig().runLease / 3, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function reapOnce(): Promise<void> {
  try {
    for (const { id, jobName, host } of await BatchJobRun.markLost()) {
      logger.error(new Error(`Run ${id} of ${jobName} is lost: its process died, or lost the database`), { tag: TAG, runId: id, jobName, host });
    }
  } catch (error) {
    logger.error(error, { tag: TAG, during: 'looking for lost runs' });
  }
}
