import { currentDatabase } from './current-database.js';
import { SharedByRuns } from './errors.js';

/**
 * For what belongs to all runs together: code outside runs may do it, a job may not.
 * @param what such as `call knex.destroy()` @param instead what to do
 * @throws {SharedByRuns} inside a run, even one that is over
 */
export function refuseInRuns(what: string, instead: string): void {
  if (currentDatabase()) throw new SharedByRuns(what, instead);
}
