import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import request from 'supertest';
import { readAuthConfig } from '@commons/backend/lib/auth/auth-config.js';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import { createKeyStore } from '@commons/backend/lib/auth/key-store.js';
import { verifyToken } from '@commons/backend/lib/auth/verify-token.js';
import { testApp, testRegistry } from '../helpers/test-app.js';
import { waitUntil } from '../helpers/wait-until.js';

const AUDIENCE = 'https://jobs.example.com';
const ISSUER = 'https://accounts.google.com';

let server: http.Server;
let url: string;
let requests = 0;
let answer: http.RequestListener;
let jwk: JWK;
let pair: Awaited<ReturnType<typeof generateKeyPair>>;

const json = (value: unknown): http.RequestListener => (_req, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));

beforeAll(async () => {
  pair = await generateKeyPair('RS256', { extractable: true });
  jwk = { ...(await exportJWK(pair.publicKey)), kid: 'first', alg: 'RS256', use: 'sig' };
  server = http.createServer((req, res) => {
    requests++;
    answer(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/certs`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => void (answer = json({ keys: [jwk] })));

const sign = (kid = 'first') => {
  const now = Math.floor(Date.now() / 1_000);
  return new SignJWT({ iss: ISSUER, aud: AUDIENCE, sub: '1', email: 'caller@example.com', email_verified: true, iat: now, exp: now + 3_600 })
    .setProtectedHeader({ alg: 'RS256', kid }).sign(pair.privateKey);
};
type Keys = ReturnType<typeof createKeyStore>;
const verify = async (keyOf: Keys, kid?: string) => verifyToken(await sign(kid), { algorithm: 'RS256', issuers: [ISSUER], audiences: [AUDIENCE], keyOf });

const without = (...names: string[]) => Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)));

/** Answers from which no key for identity tokens can be had. */
const FAULTS: readonly (readonly [string, () => http.RequestListener])[] = [
  ['{}', () => json({})],
  ['no keys', () => json({ keys: [] })],
  ['keys that are no list', () => json({ keys: { first: jwk } })],
  ['null', () => json(null)],
  ['a list', () => json([jwk])],
  ['a text', () => json('keys')],
  ['keys that are no objects', () => json({ keys: [null, 1, 'x', []] })],
  ['keys without kid', () => json({ keys: [without('kid')] })],
  ['keys with an empty kid', () => json({ keys: [{ ...jwk, kid: '' }] })],
  ['keys whose kid is no text', () => json({ keys: [{ ...jwk, kid: 1 }] })],
  ['keys without a kind', () => json({ keys: [without('kty')] })],
  ['keys that are cut', () => json({ keys: [without('n')] })],
  ['keys that hold nonsense', () => json({ keys: [{ ...jwk, n: '!!', e: '!!' }] })],
  ['keys of another kind', () => json({ keys: [{ kty: 'EC', crv: 'P-256', kid: 'first', x: 'AA', y: 'AA' }] })],
  ['shared secrets', () => json({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'first', alg: 'HS256' }] })],
  ['keys for encryption', () => json({ keys: [{ ...jwk, use: 'enc', alg: undefined }] })],
  ['two keys of one id', () => json({ keys: [jwk, { ...jwk }] })],
  ['HTML', () => (_req, res) => res.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>Sign in</html>')],
  ['nothing', () => (_req, res) => res.writeHead(200).end()],
  ['cut JSON', () => (_req, res) => res.writeHead(200).end('{"keys":[')],
  ['a redirect', () => (_req, res) => res.writeHead(302, { Location: '/elsewhere' }).end()],
  ['204', () => (_req, res) => res.writeHead(204).end()],
  ['404', () => (_req, res) => res.writeHead(404).end(JSON.stringify({ keys: [jwk] }))],
  ['500', () => (_req, res) => res.writeHead(500).end()],
  ['an answer that breaks off', () => (_req, res) => void res.writeHead(200, { 'Content-Length': '1000' }).write('{', () => res.destroy())],
  ['a huge body', () => json({ keys: [jwk], padding: 'x'.repeat(2_000_000) })],
  ['a body that unpacks to a huge one', () => (_req, res) => res.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(JSON.stringify({ keys: [jwk], padding: 'x'.repeat(20_000_000) })))],
  ['more keys than any issuer has', () => json({ keys: Array.from({ length: 2_000 }, (_, n) => ({ ...jwk, kid: n === 0 ? 'first' : `k${n}`, n: jwk.n!.slice(0, 30) })) })],
];

describe.each(FAULTS)('a key server that answers with %s', (_, fault) => {
  it('is 503 with a time to come again, and no 401', async () => {
    answer = fault();
    const env: Record<string, string> = { AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_CALLERS: 'caller@example.com', AUTH_JWKS_URL: url };
    const authenticate = createAuthenticator(readAuthConfig((name, read) => (env[name] === undefined ? undefined : read(env[name])), () => undefined));
    const { status, headers } = await request(testApp(testRegistry(), { authenticate })).get('/jobs').set('Authorization', `Bearer ${await sign()}`);
    expect([status, headers['retry-after']]).toEqual([503, '30']);
  });

  it('leaves the keys at hand in use, and is asked again', async () => {
    const keyOf = createKeyStore({ url, freshFor: 0, coolDown: 0 });
    await verify(keyOf);
    answer = fault();
    const before = requests;
    await verify(keyOf);
    await waitUntil('it was asked', () => requests > before);
    for (let n = 0; n < 3; n++) await expect(verify(keyOf)).resolves.toMatchObject({ email: 'caller@example.com' });
    // A key that was changed meanwhile may be among those that cannot be had.
    await expect(verify(keyOf, 'new')).rejects.toMatchObject({ status: 503 });
    answer = json({ keys: [jwk, { ...jwk, kid: 'new' }] });
    await expect(verify(keyOf, 'new')).resolves.toMatchObject({ email: 'caller@example.com' });
    await expect(verify(keyOf, 'other')).rejects.toMatchObject({ status: 401 });
  });
});

it('one bad key among good ones takes none of them away', async () => {
  answer = json({ keys: [null, without('n', 'kid'), { ...without('n'), kid: 'cut' }, { kty: 'oct', k: 'AA', kid: 'shared' }, jwk] });
  const keyOf = createKeyStore({ url });
  await expect(verify(keyOf)).resolves.toMatchObject({ email: 'caller@example.com' });
  await expect(verify(keyOf, 'shared')).rejects.toMatchObject({ status: 401 });
});

it("a set that goes to another kind of token's store is that server's fault", async () => {
  await expect(createKeyStore({ url, algorithm: 'ES256' })({ alg: 'ES256', kid: 'first' }, { payload: '', signature: '' })).rejects.toMatchObject({ status: 503 });
});
