import { isQueryCanceled } from '../../lib/errors/postgres-fault.js';

/** What a search that took too long is told to do, by its address. The first that fits counts. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/^\/runs$/, 'The search took too long. Narrow it, by job or since.'],
  [/^\/audit$/, 'The search took too long. Narrow it, by run, or ask for fewer entries with limit.'],
  [/^\/runs\/[^/]+\/logs$/, 'Reading the log took too long. Send it again, as JSON: that comes page by page.'],
  [/^\/jobs(\/|$)/, 'Looking for the newest runs took too long. Send it again.'],
];

/**
 * The words for a GET whose statement the database cut off, by the read pool's statement_timeout or by the server's own.
 * Undefined for any other fault.
 */
export function slowSearchAdvice(error: unknown, method: string, path: string): string | undefined {
  if (method !== 'GET' || !isQueryCanceled(error)) return undefined;
  return ADVICE.find(([address]) => address.test(path))?.[1] ?? 'The database took too long. Send it again.';
}
