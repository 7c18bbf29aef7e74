import { HUNDRED_YEARS, parseDuration } from '../lib/text/duration.js';
import { isRunStatus, RUN_STATUSES, type RunStatus } from './records/run-status.js';

/** The filters of the history that are written as text, over HTTP and on the command line: what each takes, in words. */
export const TAKES = {
  status: `one or several, with commas, of ${RUN_STATUSES.join(', ')}`,
  since: 'an ISO 8601 time, or how long ago, such as 90s, 12h or 30d',
  limit: 'a whole number from 1 to 500',
} as const;

/** Undefined where the text is no list of statuses. */
export function readStatuses(text: string): readonly RunStatus[] | undefined {
  const words = text.split(',').map((word) => word.trim());
  return words.every(isRunStatus) ? words.filter(isRunStatus) : undefined;
}

/** Undefined where the text is no time. */
export function readSince(text: string): Date | undefined {
  const time = /^\d+(\.\d+)?[a-z]+$/.test(text) ? new Date(Date.now() - msOf(text)) : new Date(/^\d{4}-\d{2}-\d{2}/.test(text) ? text : NaN);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

function msOf(text: string): number {
  try {
    return parseDuration(text, HUNDRED_YEARS);
  } catch {
    return NaN;
  }
}

/** Undefined where the text is no limit. */
export function readLimit(text: string): number | undefined {
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= 500 ? limit : undefined;
}
