import type { JSONData } from '../../jobs/helpers.js';

/**
 * An error of the service itself, meant for whoever called: its message says what was wrong and what to do, and goes out
 * as it is. It holds no personal data, no path and no SQL; what is for the log alone goes into `cause`.
 */
export class ServiceError extends Error {
  override readonly name: string = 'ServiceError';

  constructor(
    readonly status: number,
    message: string,
    readonly details: { cause?: unknown; retryAfterSeconds?: number; errors?: readonly FieldError[]; data?: JSONData } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
  }
}

/** What is wrong with one field of a body. */
export interface FieldError {
  /** Such as `filters.0.state`; empty for the body itself. */
  readonly path: string;
  readonly message: string;
  readonly code?: string | undefined;
}

/** Why a run was told to stop. As its outcome it counts for that run alone: inside another one it is an error like any. */
export abstract class StopReason extends ServiceError {}

/** The run passed its timeout. */
export class RunTimedOut extends StopReason {
  override readonly name = 'RunTimedOut';

  constructor(timeoutMs: number) {
    super(504, `The run passed its timeout of ${timeoutMs / 1_000} s. Raise the job's config.timeout if it needs more.`);
  }
}

/** A person asked for the run to stop. */
export class RunCancelled extends StopReason {
  override readonly name = 'RunCancelled';

  constructor(by: string | undefined) {
    super(409, `The run was cancelled${by === undefined ? '' : ` by ${by}`}.`);
  }
}

/** The service stopped while the run was going. */
export class RunInterrupted extends StopReason {
  override readonly name = 'RunInterrupted';

  constructor() {
    super(503, 'The service stopped before the run finished. Start it again.', { retryAfterSeconds: 10 });
  }
}

/** The run's lease passed without being renewed: the database was out of reach, and another process may take it for dead. */
export class RunLeaseLost extends StopReason {
  override readonly name = 'RunLeaseLost';

  constructor() {
    super(500, "The run's lease passed without being renewed, so it was told to stop. See whether the database was out of reach.");
  }
}
