import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

/** An issuer of identity tokens with a key server on this machine. */
export interface TokenIssuer {
  readonly jwksUrl: string;
  /** Requests that the key server has had. */
  requests(): number;
  /** A token that is in order, but for what `claims` and `header` say otherwise. A claim of undefined is left out. */
  sign(claims?: JWTPayload, header?: { kid?: string | undefined; key?: string }): Promise<string>;
  /** Another key beside those there are, published or not. */
  addKey(kid: string, options?: { isPublished?: boolean }): Promise<void>;
  /** The public key, as a PEM file would hold it. */
  readonly publicKeyText: string;
  /** Makes the key server answer 503, or work again. */
  setDown(isDown: boolean): void;
  close(): Promise<void>;
}

export const AUDIENCE = 'https://jobs.example.com';
export const ISSUER = 'https://accounts.google.com';

export async function startTokenIssuer({ algorithm = 'RS256', issuer = ISSUER, audience = AUDIENCE } = {}): Promise<TokenIssuer> {
  const keys = new Map<string, Awaited<ReturnType<typeof generateKeyPair>>>();
  const published: object[] = [];
  let requests = 0;
  let isDown = false;
  const server = http.createServer((_req, res) => {
    requests++;
    if (isDown) return void res.writeHead(503).end();
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: published }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const addKey = async (kid: string, { isPublished = true } = {}) => {
    const pair = await generateKeyPair(algorithm, { extractable: true });
    keys.set(kid, pair);
    if (isPublished) published.push({ ...(await exportJWK(pair.publicKey)), kid, alg: algorithm, use: 'sig' });
  };
  await addKey('first');
  return {
    jwksUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/certs`,
    requests: () => requests,
    addKey,
    publicKeyText: JSON.stringify(published[0]),
    setDown: (down) => void (isDown = down),
    sign(claims = {}, { kid = 'first', key = kid } = {}) {
      const now = Math.floor(Date.now() / 1_000);
      const all = { iss: issuer, aud: audience, sub: '1234567890', email: 'caller@example.com', email_verified: true, iat: now, exp: now + 3_600, ...claims };
      return new SignJWT(all).setProtectedHeader({ alg: algorithm, ...(kid !== '' && { kid }) }).sign(keys.get(key)!.privateKey);
    },
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
  };
}
