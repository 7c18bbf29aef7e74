import { Cron } from 'croner';
import type { JobConfig } from '../../jobs/helpers.js';
import { parseCallerList } from '../auth/callers.js';
import { parseDuration } from '../text/duration.js';

/** The words that a setting of JobConfig may be. */
const WORDS: { readonly [name in keyof JobConfig]?: readonly string[] } = { overlap: ['allow', 'skip'], countWrites: ['exact'] };

/**
 * Checks what a job file says of itself.
 * @returns its timeout in ms, or undefined for the service's default
 * @throws {Error} naming the setting that is wrong, and what is allowed
 */
export function checkConfig(config: unknown): { timeoutMs: number | undefined } {
  if (typeof config !== 'object' || config === null) throw new TypeError('its config is no object. Write: export const config: JobConfig = {...}');
  const { timeout, schedule, callers, ...settings } = config as JobConfig;
  for (const [name, words] of Object.entries(WORDS)) {
    const value = (settings as Record<string, unknown>)[name];
    if (value !== undefined && !(typeof value === 'string' && words.includes(value))) throw new TypeError(`its config.${name} is none of ${words.join(', ')}`);
  }
  if (schedule !== undefined) checkSchedule(schedule);
  if (callers !== undefined) checkCallers(callers);
  return { timeoutMs: timeout === undefined ? undefined : parseDuration(String(timeout)) };
}

/** A list that is wrong must not let everybody in. */
function checkCallers(callers: unknown): void {
  if (!Array.isArray(callers) || callers.length === 0) throw new TypeError("its config.callers is no list. Write: callers: ['name@example.com', '@example.org']");
  parseCallerList(callers.join(','));
}

/** unix-cron has five fields (https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules); croner knows more. */
function checkSchedule({ cron, timeZone }: NonNullable<JobConfig['schedule']>): void {
  try {
    if (String(cron).trim().split(/\s+/).length !== 5) throw new TypeError('it has not five fields');
    if (!nextTime({ cron, timeZone })) throw new TypeError('no such time comes');
  } catch (cause) {
    throw new TypeError(`its config.schedule is none: ${(cause as Error).message}. Write unix-cron and an IANA time zone: { cron: '0 6 * * *', timeZone: 'America/New_York' }`, { cause });
  }
}

/** The next time of a schedule, after now. @throws {Error} when it is none */
export function nextTime({ cron, timeZone = 'Etc/UTC' }: NonNullable<JobConfig['schedule']>): Date | null {
  // Made for each call: it would start a timer only if it were given something to call.
  return new Cron(String(cron), { timezone: timeZone }).nextRun();
}
