import { ServiceError } from '../errors/service-error.js';

/**
 * 401: nobody could be made out. `challenge` is for the header WWW-Authenticate, without which no 401 may go out (RFC 9110,
 * 15.5.2), in the form of RFC 6750, 3.
 */
export class Unauthenticated extends ServiceError {
  override readonly name = 'Unauthenticated';

  constructor(
    message: string,
    readonly challenge: string,
    cause?: unknown,
  ) {
    super(401, message, { cause });
  }
}

/** 403: it is known who calls, and that is not enough. */
export class Forbidden extends ServiceError {
  override readonly name = 'Forbidden';

  constructor(message: string) {
    super(403, message);
  }
}

/** No token at all: the challenge names no error, since there was none (RFC 6750, 3.1). */
export const noToken = (): Unauthenticated =>
  new Unauthenticated('This needs a Google-signed identity token: Authorization: Bearer <token>. docs/security.md says how to get one.', 'Bearer realm="jobs"');

/** A token that is none, or not for here. Why is told in words of ours: what the token holds is not repeated. */
export const badToken = (reason: string, cause?: unknown): Unauthenticated =>
  new Unauthenticated(`The identity token is not accepted: ${reason}.`, `Bearer realm="jobs", error="invalid_token", error_description="${reason}"`, cause);
