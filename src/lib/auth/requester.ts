import type { Caller } from './callers.js';

/** Who asks for something, and from where. It travels whole: the run's row, the audit trail and a job's config.callers each take what they need. */
export interface Requester {
  /** The e-mail, or a user's name on the command line; undefined where nobody said it. */
  readonly name: string | undefined;
  /** Whether the service itself has verified that. */
  readonly isVerified: boolean;
  /** An address, or the command line. */
  readonly source: string | undefined;
  /** Who calls over HTTP, as it was authenticated. Undefined on the command line: whoever is there has the database. */
  readonly caller?: Caller | undefined;
}
