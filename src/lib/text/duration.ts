const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** setTimeout fires at once above this many milliseconds (2^31 - 1, nearly 25 days). */
const LONGEST_MS = 2_147_483_647;

/** ms. For how long ago something was. */
export const HUNDRED_YEARS = 36_500 * UNITS.d;

/**
 * '500ms', '90s', '15m', '2h' or '7d' as milliseconds, more than nothing.
 * @param longestMs by default what a timer can wait: 24 days
 * @throws {RangeError} saying what is allowed
 */
export function parseDuration(text: string, longestMs = LONGEST_MS): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const ms = amount === undefined ? NaN : Math.round(Number(amount) * UNITS[unit as keyof typeof UNITS]);
  if (!(ms > 0 && ms <= longestMs)) {
    throw new RangeError(`'${text}' is not a duration: write a number and ms, s, m, h or d, such as 90s, ${Math.floor(longestMs / UNITS.d)}d at most`);
  }
  return ms;
}
