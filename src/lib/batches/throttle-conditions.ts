import { parseDuration } from '../text/duration.js';
import knex from '../knex.js';
import type { ThrottleCondition } from './throttle.js';

/** A little less than the time between two askings of a pause. */
const CHECK_EVERY_MS = 900;

const NEEDS_GRANT = 'The database role sees nothing of what others do; have an administrator run: grant pg_monitor to';

/**
 * Waits while a replica that streams from this server is further behind than `limit` ('5s'), by pg_stat_replication's
 * replay_lag. The role needs pg_monitor.
 * @throws {RangeError} when limit is no duration
 */
export function replicationLagOver(limit: string): ThrottleCondition {
  const limitMs = parseDuration(limit);
  return onceASecond(async () => {
    const { rows } = await knex.raw<{ rows: { ms: number; isHidden: boolean; role: string }[] }>(
      // Without the role the lag is null, as it is where there is none.
      `select coalesce(extract(epoch from max(replay_lag)) * 1000, 0)::float8 as ms, current_user as role,
         count(*) > 0 and not pg_has_role('pg_read_all_stats', 'usage') as "isHidden"
       from pg_stat_replication`,
    );
    const { ms, isHidden, role } = rows[0]!;
    if (isHidden) throw new Error(`${NEEDS_GRANT} "${role}"`);
    return ms > limitMs && `a replica is ${Math.round(ms / 100) / 10} s behind (over ${limit})`;
  });
}

/**
 * Waits while more than `limit` sessions of clients work at a statement on this server, in all its databases, this run's
 * own asking not counted. The role needs pg_monitor.
 */
export function activeSessionsOver(limit: number): ThrottleCondition {
  if (!(limit >= 0)) throw new RangeError(`activeSessionsOver(${limit}): it takes a number of sessions`);
  return onceASecond(async () => {
    const { rows } = await knex.raw<{ rows: { active: number; isHidden: boolean; role: string }[] }>(
      `select (count(*) filter (where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()))::int as active,
         current_user as role,
         coalesce(bool_or(usename <> current_user), false) and not pg_has_role('pg_read_all_stats', 'usage') as "isHidden"
       from pg_stat_activity`,
    );
    const { active, isHidden, role } = rows[0]!;
    if (isHidden) throw new Error(`${NEEDS_GRANT} "${role}"`);
    return active > limit && `${active} active sessions (over ${limit})`;
  });
}

/** Hours of the day, such as '22:00', on the clocks of `timeZone`, such as 'America/New_York'. */
export interface Hours {
  readonly from: string;
  /** The first minute that is outside again. Earlier than `from`: of the next day. */
  readonly to: string;
  readonly timeZone: string;
}

/**
 * Waits while it is not between `from` and `to`.
 * @throws {RangeError} when a time is no HH:MM, both are the same, or the time zone is unknown
 */
export function outsideHours({ from, to, timeZone }: Hours): ThrottleCondition {
  const [start, end] = [minutesOf(from), minutesOf(to)];
  if (start === end) throw new RangeError(`outsideHours: from and to are both ${from}, which leaves no hours at all`);
  const clock = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return () => {
    const now = minutesOf(clock.format(Date.now()));
    const isInside = start < end ? now >= start && now < end : now >= start || now < end;
    return !isInside && `outside ${from} to ${to} ${timeZone}`;
  };
}

function minutesOf(time: string): number {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time) ?? [];
  if (hours === undefined) throw new RangeError(`'${time}' is no time of day: write it as HH:MM, from 00:00 to 23:59`);
  return Number(hours) * 60 + Number(minutes);
}

/** Small batches may come hundreds of times a second; what they are to spare should not be asked as often. */
function onceASecond(check: () => Promise<string | false>): ThrottleCondition {
  let checkedAt = -Infinity;
  let last: string | false = false;
  return async () => {
    if (performance.now() - checkedAt < CHECK_EVERY_MS) return last;
    last = await check();
    checkedAt = performance.now();
    return last;
  };
}
