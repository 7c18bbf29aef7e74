import type { Request, RequestHandler } from 'express';
import type { Authenticator } from '../lib/auth/authenticator.js';
import { Forbidden } from '../lib/auth/auth-error.js';
import type { Caller, Permission } from '../lib/auth/callers.js';
import type { Origin } from '../models/audit-event.js';

/** Apart from the request's own fields: a job gets the request, and what it writes there decides nothing. */
const callers = new WeakMap<Request, Caller>();

/** Finds out who calls, before anything else of the request is looked at. Whatever stands behind it is for known callers alone. */
export const authenticateHandler =
  (authenticate: Authenticator): RequestHandler =>
  async (req, _res, next) => {
    const caller = await authenticate(req.headers);
    if (caller.isVerified) takeTokens(req);
    callers.set(req, caller);
    next();
  };

const TOKENS = new Set(['authorization', 'x-goog-iap-jwt-assertion', 'x-serverless-authorization']);

/** A job gets the request, and what it logs or returns is kept: the token, which is good for another hour, is not for it. */
function takeTokens({ headers, rawHeaders }: Request): void {
  for (const name of TOKENS) delete headers[name];
  for (let at = 0; at < rawHeaders.length; at += 2) if (TOKENS.has(rawHeaders[at]!.toLowerCase())) rawHeaders[at + 1] = '[Secret]';
}

/** Who sends the request and from where, for the audit trail; as far as it is known. */
export function originOf(req: Request): Origin {
  const caller = callers.get(req);
  return { caller: caller?.email, isVerified: caller?.isVerified ?? false, source: req.ip };
}

/** Who sends the request. @throws {Error} on a route that no authentication stands before */
export function callerOf(req: Request): Caller {
  const caller = callers.get(req);
  if (!caller) throw new Error('this route is not behind authenticateHandler: move it below, or let nobody ask who calls');
  return caller;
}

const REFUSALS: Readonly<Record<Permission, string>> = {
  run: 'This caller may not start or control runs: AUTH_CALLERS does not name it.',
  read: 'This caller may not read here: neither AUTH_CALLERS nor AUTH_VIEWERS names it.',
  audit: 'This caller may not read the audit trail: AUTH_AUDITORS does not name it.',
};

/** Lets only those callers pass who have the permission. Each route behind authenticateHandler starts with one of these. */
export const may =
  (permission: Permission): RequestHandler =>
  (req, _res, next) => {
    if (!callerOf(req).permissions.includes(permission)) throw new Forbidden(REFUSALS[permission]);
    next();
  };
