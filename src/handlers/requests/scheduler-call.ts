import { randomUUID } from 'node:crypto';
import type { Request } from 'express';
import logger from '../../lib/logging.js';
import type { JobCall } from '../../runs/job-call.js';

const TAG = 'scheduler';

/** A delivery whose time is further ahead than this is a run forced by hand: it carries the time of the next regular one. */
const FORCED_AHEAD_MS = 5_000;

/**
 * What Google Cloud Scheduler's headers say of a call, or nothing when it is not from there. The same job's delivery for
 * the same instant has the same key, so that one delivered twice runs once.
 * https://cloud.google.com/scheduler/docs/creating#headers
 */
export function schedulerCall({ headers }: Request, slug: string): Pick<JobCall, 'trigger' | 'delivery'> | undefined {
  const name = headers['x-cloudscheduler-jobname'];
  const time = headers['x-cloudscheduler-scheduletime'];
  if (typeof name !== 'string' || name === '') return undefined;
  const schedulerJobName = name.slice(name.lastIndexOf('/') + 1).slice(0, 500);
  if (schedulerJobName !== slug) {
    logger.warn(`Cloud Scheduler calls this job by another name: name its file, and so its slug, like the Scheduler job`, TAG, { slug, schedulerJobName });
  }
  const scheduledFor = new Date(typeof time === 'string' ? time : NaN);
  // Before 1970 it is no time of a scheduler's, and Postgres may not take it.
  if (!(scheduledFor.getTime() >= 0)) return { trigger: 'scheduler' };
  const isForced = scheduledFor.getTime() > Date.now() + FORCED_AHEAD_MS;
  const key = `${slug}/${schedulerJobName}@${scheduledFor.toISOString()}${isForced ? `/forced/${randomUUID()}` : ''}`;
  return { trigger: 'scheduler', delivery: { key, scheduledFor, schedulerJobName } };
}
