import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { waitUntil } from './wait-until.js';

const newestRunning = async (jobName: string) => (await BatchJobRun.list({ jobName, statuses: ['running'], limit: 1 }))[0];

/** Resolves with the newest run of the job that is running, once there is one. */
export const untilRunning = (jobName: string) => waitUntil(`${jobName} runs`, () => newestRunning(jobName));
