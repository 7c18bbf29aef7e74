import { ServiceError } from '../errors/service-error.js';

/**
 * A request to another system that came to nothing. The message names the method and the address without its query, which
 * may carry a signature, and quotes nothing of what was sent or answered. Uncaught it is an opaque 500, as any error is;
 * a job that wants its caller to know throws a StatusError of its own.
 */
export class FetchError extends Error {
  override readonly name = 'FetchError';
  /** What the other system answered; undefined when it did not answer, or its answer could not be used. */
  readonly status: number | undefined;
  /** ms after which it asked to be tried again (Retry-After). */
  readonly retryAfter: number | undefined;
  /** The same request may succeed in a moment. */
  readonly mayPass: boolean;

  /**
   * @param request such as `GET https://example.org/patients`
   * @param what what went wrong, as the rest of the sentence: 'answered 404'
   */
  constructor(
    readonly request: string,
    readonly what: string,
    { status, retryAfter, mayPass = false, cause }: { status?: number; retryAfter?: number | undefined; mayPass?: boolean; cause?: unknown } = {},
  ) {
    super(`${request} ${what}`, cause === undefined ? undefined : { cause });
    this.status = status;
    this.retryAfter = retryAfter;
    this.mayPass = mayPass;
  }
}

/** A dry run was about to send a request that may change something. Its status is 500: the fault is the job's, not its caller's. */
export class DryRunRequest extends ServiceError {
  override readonly name = 'DryRunRequest';

  constructor(request: string) {
    super(500, `A dry run may not write, and the job tried ${request}. Give fetchJson a dryRunAnswer, or leave the request out when isDryRun is set.`);
  }
}
