import { Forbidden } from './auth-error.js';
import { type Caller, isListed } from './callers.js';

/**
 * Refuses a caller that the job's config.callers does not name, and everybody where nobody is verified.
 * @throws {Forbidden} 403
 */
export function requireNamed(named: readonly string[], caller: Caller, slug: string): void {
  if (!caller.isVerified || caller.email === undefined) {
    throw new Forbidden(`This job is for callers that its config.callers names, and nobody is verified here. Set AUTH=google, or run it from a terminal: npm run -s job -- run ${slug}`);
  }
  if (!isListed(named.map((entry) => entry.trim().toLowerCase()), caller)) throw new Forbidden('This job is for other callers: its config.callers does not name this one.');
}
