import type { NextFunction, Request, RequestHandler } from 'express';
import type { Authenticator } from '../../lib/auth/authenticator.js';
import { Forbidden } from '../../lib/auth/auth-error.js';
import type { Caller, Permission } from '../../lib/auth/callers.js';
import type { Requester } from '../../lib/auth/requester.js';

/** Apart from the request's own fields: a job gets the request, and what it writes there decides nothing. */
const callers = new WeakMap<Request, Caller>();

/** Finds out who calls, before anything else of the request is looked at. Whatever stands behind it is for known callers alone. */
export const authenticateHandler =
  (authenticate: Authenticator): RequestHandler =>
  (req, _res, next) => {
    const known = authenticate(req.headers);
    if (!(known instanceof Promise)) return admit(req, known, next);
    return known.then((caller) => admit(req, caller, next));
  };

function admit(req: Request, caller: Caller, next: NextFunction): void {
  if (caller.isUnchecked !== true) takeCredentials(req);
  callers.set(req, caller);
  next();
}

/** Headers by which Google's products, proxies and browsers prove who calls. IAP keeps its session in a cookie. */
const CREDENTIALS = new Set(['authorization', 'proxy-authorization', 'x-serverless-authorization', 'x-forwarded-authorization', 'x-goog-iap-jwt-assertion', 'cookie']);

/** A job gets the request, and what it logs or returns is kept: a token, which is good for another hour, is not for it. */
function takeCredentials({ headers, rawHeaders }: Request): void {
  for (const name of CREDENTIALS) delete headers[name];
  // Node makes headersDistinct of these when it is first looked at.
  for (let at = 0; at < rawHeaders.length; at += 2) if (CREDENTIALS.has(rawHeaders[at]!.toLowerCase())) rawHeaders[at + 1] = '[Secret]';
}

/** Who sends the request and from where, as far as it is known. */
export function requesterOf(req: Request): Requester {
  const caller = callers.get(req);
  return { name: caller?.email, isVerified: caller?.isVerified ?? false, source: req.ip, caller };
}

/** Who sends the request. @throws {Error} on a route that no authentication stands before */
export function callerOf(req: Request): Caller {
  const caller = callers.get(req);
  if (!caller) throw new Error('this route is not behind authenticateHandler: move it below, or let nobody ask who calls');
  return caller;
}

const DOMAINS = "A domain there stands for its organisation's own accounts, whose tokens carry the claim hd.";
const REFUSALS: Readonly<Record<Permission, string>> = {
  run: `This caller may not start or control runs: AUTH_CALLERS does not name it. ${DOMAINS}`,
  read: `This caller may not read here: neither AUTH_CALLERS nor AUTH_VIEWERS names it. ${DOMAINS}`,
  audit: `This caller may not read the audit trail: AUTH_AUDITORS does not name it. ${DOMAINS}`,
};

/** Lets only those callers pass who have the permission. Each route behind authenticateHandler starts with one of these. */
export const may =
  (permission: Permission): RequestHandler =>
  (req, _res, next) => {
    if (!callerOf(req).permissions.includes(permission)) throw new Forbidden(REFUSALS[permission]);
    next();
  };
