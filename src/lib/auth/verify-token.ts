import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { badToken } from './auth-error.js';
import type { KeyAlgorithm } from './key-set.js';

/** What a token must be to be one. */
export interface TokenRules {
  /** The only signature algorithm; `none` and those with a shared secret are never any. */
  readonly algorithm: KeyAlgorithm;
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  readonly keyOf: JWTVerifyGetKey;
}

/** Seconds by which clocks may differ. */
const SKEW = 30;

/**
 * The claims of an identity token (OpenID Connect Core 1.0, 2) that is signed, for here, and in time.
 * @throws {Unauthenticated} 401, saying in which way it is not; {ServiceError} 503 when no key can be had
 */
export async function verifyToken(token: string, { algorithm, issuers, audiences, keyOf }: TokenRules): Promise<JWTPayload> {
  let payload: JWTPayload;
  try {
    ({ payload } = await jwtVerify(token, keyOf, {
      algorithms: [algorithm],
      issuer: [...issuers],
      audience: [...audiences],
      clockTolerance: SKEW,
      requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub'],
    }));
  } catch (error) {
    throw error instanceof errors.JOSEError ? badToken(reasonOf(error)) : error;
  }
  // jose looks at iat only where a greatest age is asked for.
  if (payload.iat! > Date.now() / 1_000 + SKEW) throw badToken('it was issued in the future');
  // Whoever else it is for could send it on (OpenID Connect Core 1.0, 3.1.3.7).
  if (![payload.aud].flat().every((audience) => audiences.includes(audience!))) throw badToken(CLAIMS.aud!);
  return payload;
}

/** No value of the token's is repeated. */
function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWTClaimValidationFailed) return CLAIMS[error.claim] ?? 'a claim is missing or wrong';
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) return 'its algorithm is not allowed';
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) return 'its key is unknown';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is wrong';
  return 'it is no signed JSON Web Token';
}

const CLAIMS: Readonly<Record<string, string>> = {
  aud: 'it is for another audience (AUTH_AUDIENCES)',
  iss: 'its issuer is another (AUTH_ISSUERS)',
  exp: 'it says not when it expires',
  iat: 'it says not when it was issued',
  nbf: 'it is not valid yet',
};
