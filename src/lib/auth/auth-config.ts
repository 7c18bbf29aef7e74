import { type CallerList, parseCallerList } from './callers.js';

export const AUTH_MODES = ['none', 'google', 'cloud-run'] as const;

/** How callers are made out; docs/security.md holds the choice and its reasons. */
export interface AuthConfig {
  readonly mode: (typeof AUTH_MODES)[number];
  /** Whom a token must be made out for; of a person's, gcloud's own client id. */
  readonly audiences: readonly string[];
  readonly issuers: readonly string[];
  readonly jwksUrl: string;
  readonly iapAudiences: readonly string[];
  readonly iapJwksUrl: string;
  /** Who may run jobs, and read. */
  readonly callers: CallerList;
  /** Who may read. */
  readonly viewers: CallerList;
  /** Who may read the audit trail, and the rest. */
  readonly auditors: CallerList;
  /** `none` may serve on an address that others reach. */
  readonly isOpenAllowed: boolean;
  /** Cloud Run says so of itself (https://cloud.google.com/run/docs/container-contract#services-env-vars). */
  readonly isOnCloudRun: boolean;
}

/** Reads one variable, or undefined when it is not set; a fault is kept for the one error that names them all. */
type Optional = <T>(name: string, read: (text: string) => T) => T | undefined;

/** https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken */
const GOOGLE_ISSUERS = ['https://accounts.google.com', 'accounts.google.com'];
const GOOGLE_JWKS = 'https://www.googleapis.com/oauth2/v3/certs';
const IAP_JWKS = 'https://www.gstatic.com/iap/verify/public_key-jwk';

/** @param fault takes what is wrong between several variables */
export function readAuthConfig(optional: Optional, fault: (text: string) => void): AuthConfig {
  const config: AuthConfig = Object.freeze({
    mode: optional('AUTH', mode) ?? 'none',
    audiences: optional('AUTH_AUDIENCES', words) ?? [],
    issuers: optional('AUTH_ISSUERS', words) ?? GOOGLE_ISSUERS,
    jwksUrl: optional('AUTH_JWKS_URL', keyUrl) ?? GOOGLE_JWKS,
    iapAudiences: optional('AUTH_IAP_AUDIENCES', words) ?? [],
    iapJwksUrl: optional('AUTH_IAP_JWKS_URL', keyUrl) ?? IAP_JWKS,
    callers: optional('AUTH_CALLERS', parseCallerList) ?? [],
    viewers: optional('AUTH_VIEWERS', parseCallerList) ?? [],
    auditors: optional('AUTH_AUDITORS', parseCallerList) ?? [],
    isOpenAllowed: optional('ALLOW_UNAUTHENTICATED', yes) ?? false,
    isOnCloudRun: optional('K_SERVICE', (text) => text) !== undefined,
  });
  for (const text of contradictions(config)) fault(text);
  return config;
}

function contradictions({ mode: chosen, audiences, iapAudiences, callers, viewers, auditors }: AuthConfig): string[] {
  if (chosen !== 'google') {
    // Whoever sets them counts on being protected by them.
    const idle = Object.entries({ AUTH_AUDIENCES: audiences, AUTH_IAP_AUDIENCES: iapAudiences, AUTH_CALLERS: callers, AUTH_VIEWERS: viewers, AUTH_AUDITORS: auditors });
    return idle.filter(([, list]) => list.length > 0).map(([name]) => `${name}: it has no effect unless AUTH is google`);
  }
  const faults: string[] = [];
  if (audiences.length + iapAudiences.length === 0) faults.push('AUTH_AUDIENCES: AUTH=google needs it: the URL of this service, for which callers ask their tokens');
  if (callers.length === 0) faults.push('AUTH_CALLERS: AUTH=google needs it: who may run jobs, such as scheduler@my-project.iam.gserviceaccount.com, @example.com');
  return faults;
}

function mode(text: string): AuthConfig['mode'] {
  const found = AUTH_MODES.find((word) => word === text);
  if (found === undefined) throw new RangeError(`'${text}' is none of ${AUTH_MODES.join(', ')}`);
  return found;
}

const words = (text: string): string[] => text.split(',').map((word) => word.trim()).filter((word) => word !== '');

function keyUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isLoopback = url && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (!(url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback))) throw new RangeError('it is no https address');
  return text;
}

function yes(text: string): boolean {
  if (text !== 'yes' && text !== 'no') throw new RangeError(`'${text}' is none of yes, no`);
  return text === 'yes';
}

/** Addresses that only this machine reaches (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
