import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export const AUDIENCE = 'https://jobs.example.com';
export const ISSUER = 'https://accounts.google.com';
export const IAP_AUDIENCE = '/projects/123456789/global/backendServices/987654321';
export const CALLER = 'caller@example.com';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const newRsaKey = (): KeyPair => generateKeyPairSync('rsa', { modulusLength: 2_048 });
export const newEcKey = (): KeyPair => generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** A key as a JSON Web Key Set publishes it (RFC 7517). */
export const jwkOf = ({ publicKey }: KeyPair, kid: string, alg: string): object => ({ ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });

export const encoded = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

type Header = Readonly<Record<string, unknown>>;

/** A signed token, whatever its header says; `input` in place of what is signed by the rules. */
export function signed(header: Header, claims: unknown, key: KeyPair | string, alg = String(header.alg)): string {
  const input = `${encoded(header)}.${encoded(claims)}`;
  return `${input}.${signature(alg, input, key)}`;
}

/** The signature of `input` (RFC 7518, 3.1), base64url. */
export function signature(alg: string, input: string, key: KeyPair | string): string {
  if (typeof key === 'string') return createHmac(`sha${alg.slice(2)}`, key).update(input).digest('base64url');
  const hash = `sha${alg.slice(2)}`;
  const { privateKey } = key;
  if (alg.startsWith('PS')) return sign(hash, Buffer.from(input), { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }).toString('base64url');
  return sign(hash, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

/** The token with one bit turned over in its header (0), its claims (1) or its signature (2). */
export function bitFlipped(token: string, part: 0 | 1 | 2, random: () => number): string {
  const parts = token.split('.');
  // In the bytes: of the last character of a base64url text some bits stand for nothing.
  const bytes = Buffer.from(parts[part]!, 'base64url');
  const at = Math.floor(random() * bytes.length);
  bytes[at]! ^= 1 << Math.floor(random() * 8);
  parts[part] = bytes.toString('base64url');
  return parts.join('.');
}
