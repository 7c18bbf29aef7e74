import type { IncomingHttpHeaders } from 'node:http';
import { decodeJwt, type JWTPayload } from 'jose';
import { accountDomain } from './account-domain.js';
import { Forbidden, noToken, badToken } from './auth-error.js';
import type { AuthConfig } from './auth-config.js';
import { type Caller, isListed, type Permission, readEmail } from './callers.js';
import { createKeyStore } from './key-store.js';
import { type TokenRules, verifyToken } from './verify-token.js';

/**
 * Tells who sends a request, by its headers alone; without a promise where nothing has to be waited for.
 * @throws {Unauthenticated} 401, {Forbidden} 403, {ServiceError} 503 when the keys cannot be reached
 */
export type Authenticator = (headers: IncomingHttpHeaders) => Caller | Promise<Caller>;

const EVERYTHING: readonly Permission[] = ['run', 'read', 'audit'];

const ANYBODY: Caller = { email: undefined, isVerified: false, permissions: EVERYTHING, isUnchecked: true };

/** The authenticator of a mode; docs/security.md says which is for what. */
export function createAuthenticator(config: AuthConfig): Authenticator {
  switch (config.mode) {
    case 'none':
      return () => ANYBODY;
    case 'cloud-run':
      return (headers) => ({ email: claimedEmail(headers), isVerified: false, permissions: EVERYTHING });
    case 'google':
      return verifying(config);
  }
}

/** https://cloud.google.com/iap/docs/signed-headers-howto */
const IAP_HEADER = 'x-goog-iap-jwt-assertion';
const IAP_ISSUER = 'https://cloud.google.com/iap';

function verifying(config: AuthConfig): Authenticator {
  const bearer: TokenRules = { algorithm: 'RS256', issuers: config.issuers, audiences: config.audiences, keyOf: createKeyStore({ url: config.jwksUrl }) };
  const iap: TokenRules = { algorithm: 'ES256', issuers: [IAP_ISSUER], audiences: config.iapAudiences, keyOf: createKeyStore({ url: config.iapJwksUrl, algorithm: 'ES256' }) };
  return async (headers) => {
    const token = bearerToken(headers.authorization);
    // A token that the caller sends counts for more than that of the proxy in front.
    if (token !== undefined && bearer.audiences.length > 0) {
      const claims = await verifyToken(token, bearer);
      if (claims.email_verified !== true) throw new Forbidden('The e-mail of this identity token is not verified.');
      return callerOf(claims, config);
    }
    const assertion = headers[IAP_HEADER];
    if (typeof assertion === 'string' && iap.audiences.length > 0) return callerOf(await verifyToken(assertion, iap), config);
    throw noToken();
  };
}

/** @throws {Unauthenticated} 401 for an Authorization that is no bearer token (RFC 6750, 2.1) */
function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined;
  const [, token] = /^Bearer +([\w.~+/-]+=*) *$/i.exec(authorization) ?? [];
  if (token === undefined) throw badToken('the header Authorization holds no bearer token');
  return token;
}

function callerOf(claims: JWTPayload, { callers, viewers, auditors }: AuthConfig): Caller {
  const email = readEmail(claims.email);
  if (email === undefined) throw new Forbidden('This identity token names no e-mail, or one that is not in plain form: ask for one with the claim email.');
  const account = { email, domain: accountDomain(email, claims) };
  const mayRun = isListed(callers, account);
  const mayAudit = isListed(auditors, account);
  const mayRead = mayRun || mayAudit || isListed(viewers, account);
  const permissions = EVERYTHING.filter((permission) => ({ run: mayRun, read: mayRead, audit: mayAudit })[permission]);
  return { ...account, isVerified: true, permissions };
}

/**
 * Cloud Run has checked the token and taken its signature away (https://cloud.google.com/run/docs/authenticating/service-to-service):
 * what it says is good for a name on the run, and for no decision. Of two headers it looks at X-Serverless-Authorization alone, so that
 * the other may hold whatever its caller likes.
 */
function claimedEmail({ authorization, 'x-serverless-authorization': checked = authorization }: IncomingHttpHeaders): string | undefined {
  try {
    return readEmail(decodeJwt(bearerToken(String(checked)) ?? '').email);
  } catch {
    return undefined; // None, or none that can be read.
  }
}
