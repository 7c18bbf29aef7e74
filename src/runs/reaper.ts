import { setTimeout as delay } from 'node:timers/promises';
import { eraseOldBodies } from './kept-body.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';

const TAG = 'reaper';
/** ms. Without BODY_KEYS no body is sealed any more; those of the time before are erased this often. */
const RARE_ERASE_MS = 3_600_000;

/** Marks runs of dead processes as `lost` and erases what is kept no longer, once and then several times a lease, until `signal` fires. Never rejects. */
export async function reapLostRuns(signal: AbortSignal): Promise<void> {
  let eraseAt = -Infinity;
  while (!signal.aborted) {
    await reapOnce();
    if (performance.now() >= eraseAt && (await eraseOnce())) eraseAt = performance.now() + (envConfig().bodyKeys ? 0 : RARE_ERASE_MS);
    // Rejects when the signal fires, which ends the loop.
    await delay(envConfig().runLease / 3, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Never rejects. @returns whether it worked */
async function eraseOnce(): Promise<boolean> {
  try {
    const erased = await eraseOldBodies();
    if (erased > 0) logger.log(`Erased the bodies of ${erased} runs that nobody will start again`, TAG);
    return true;
  } catch (error) {
    logger.error(error, { tag: TAG, during: 'erasing the bodies of old runs' });
    return false;
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
