import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { waitUntil } from './wait-until.js';

/** Resolves once the run is lost, its process having died. No service is needed: the lost ones are marked from here. */
export const untilLost = (id: string) =>
  waitUntil(`${id} is lost`, async () => {
    await BatchJobRun.markLost();
    return (await BatchJobRun.find(id))?.status === 'lost';
  });
