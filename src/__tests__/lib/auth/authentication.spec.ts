import { createHmac } from 'node:crypto';
import request from 'supertest';
import knex from '@commons/backend/lib/knex.js';
import { readAuthConfig } from '@commons/backend/lib/auth/auth-config.js';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import { createKeyStore } from '@commons/backend/lib/auth/key-store.js';
import { verifyToken } from '@commons/backend/lib/auth/verify-token.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { routesOf } from '../../../../bench/torture/routes-of.js';
import { AUDIENCE, ISSUER, startTokenIssuer, type TokenIssuer } from '../../helpers/token-issuer.js';
import { testApp, testRegistry } from '../../helpers/test-app.js';
import { waitUntil } from '../../helpers/wait-until.js';

const IAP_AUDIENCE = '/projects/123456789/global/backendServices/987654321';

let google: TokenIssuer;
let iap: TokenIssuer;
let app: ReturnType<typeof testApp>;

const authConfig = (env: Record<string, string>) =>
  readAuthConfig((name, read) => (env[name] === undefined ? undefined : read(env[name])), (fault) => { throw new Error(fault); });

beforeAll(async () => {
  [google, iap] = await Promise.all([startTokenIssuer(), startTokenIssuer({ algorithm: 'ES256', issuer: 'https://cloud.google.com/iap', audience: IAP_AUDIENCE })]);
  app = testApp(testRegistry(), {
    authenticate: createAuthenticator(authConfig({
      AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_JWKS_URL: google.jwksUrl, AUTH_IAP_AUDIENCES: IAP_AUDIENCE, AUTH_IAP_JWKS_URL: iap.jwksUrl,
      AUTH_CALLERS: 'caller@example.com, @runs.example.com', AUTH_VIEWERS: 'viewer@example.com', AUTH_AUDITORS: 'auditor@example.com',
    })),
  });
});
afterAll(() => Promise.all([google.close(), iap.close()]));
beforeEach(() => knex('batch_job_run').delete());

interface Route {
  readonly method: 'get' | 'post';
  readonly path: string;
}

/** The route table itself, with its sub-routers, so that no new route is forgotten. */
const routes = (): Route[] => routesOf(() => testApp()).map(({ method, path }) => ({ method: method.toLowerCase() as Route['method'], path }));

const OPEN = new Set(['/healthz', '/readyz']);
const guarded = routes().filter(({ path }) => !OPEN.has(path));
const RUN_ID = '01900000-0000-7000-8000-000000000000';
const call = ({ method, path }: Route, headers: Record<string, string> = {}) => request(app)[method](path.replace(':slug', 'echo').replace(':id', RUN_ID)).set(headers);
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1_000);

/** Tokens that must not pass, each with what is wrong with it. */
const BAD: readonly (readonly [string, () => Promise<Record<string, string>> | Record<string, string>, RegExp])[] = [
  ['no token', () => ({}), /needs a Google-signed identity token/],
  ['an empty one', () => ({ Authorization: 'Bearer ' }), /no bearer token/],
  ['another scheme', () => ({ Authorization: 'Basic dXNlcjpwYXNz' }), /no bearer token/],
  ['garbage', () => bearer('abc.def.ghi'), /no signed JSON Web Token/],
  ['two parts', () => bearer(`${part({ alg: 'RS256', kid: 'first' })}.${part({})}`), /no signed JSON Web Token/],
  ['one that has expired', async () => bearer(await google.sign({ iat: now() - 7_200, exp: now() - 3_600 })), /has expired/],
  ['one that expired more than the skew ago', async () => bearer(await google.sign({ iat: now() - 7_200, exp: now() - 40 })), /has expired/],
  ['one without an end', async () => bearer(await google.sign({ exp: undefined })), /not when it expires/],
  ['one without a beginning', async () => bearer(await google.sign({ iat: undefined })), /not when it was issued/],
  ['one from the future', async () => bearer(await google.sign({ iat: now() + 300 })), /issued in the future/],
  ['one not valid yet', async () => bearer(await google.sign({ nbf: now() + 300 })), /not valid yet/],
  ['one for another audience', async () => bearer(await google.sign({ aud: 'https://other.example.com' })), /another audience/],
  ['one for nobody', async () => bearer(await google.sign({ aud: undefined })), /audience/],
  ['one from another issuer', async () => bearer(await google.sign({ iss: 'https://accounts.example.com' })), /issuer/],
  ['alg none', () => bearer(`${part({ alg: 'none', kid: 'first' })}.${part(goodClaims())}.`), /no signed JSON Web Token|not allowed/],
  ['alg none with a signature', () => bearer(`${part({ alg: 'none', kid: 'first' })}.${part(goodClaims())}.${part('x')}`), /not allowed/],
  ['HS256 with the public key for a secret', () => bearer(hs256(google.publicKeyText)), /not allowed/],
  ['an unknown key', async () => bearer(await google.sign({}, { kid: 'unknown', key: 'first' })), /key is unknown/],
  ['no key id', async () => bearer(await google.sign({}, { kid: '', key: 'first' })), /key is unknown/],
  ['a changed claim', async () => bearer(changed(await google.sign())), /signature is wrong/],
  ["Cloud Run's, without its signature", async () => bearer((await google.sign()).replace(/[^.]+$/, 'SIGNATURE_REMOVED_BY_GOOGLE')), /signature is wrong|no signed/],
  ['an assertion of the proxy sent as a token', async () => bearer(await iap.sign()), /not allowed|key is unknown/],
  ['a token sent as an assertion of the proxy', async () => ({ 'X-Goog-IAP-JWT-Assertion': await google.sign() }), /not allowed|key is unknown/],
  ['an assertion for another service', async () => ({ 'X-Goog-IAP-JWT-Assertion': await iap.sign({ aud: '/projects/1/apps/other' }) }), /another audience/],
];

const goodClaims = () => ({ iss: ISSUER, aud: AUDIENCE, sub: '1', email: 'caller@example.com', email_verified: true, iat: now(), exp: now() + 3_600 });

function hs256(secret: string): string {
  const signed = `${part({ alg: 'HS256', typ: 'JWT', kid: 'first' })}.${part(goodClaims())}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function changed(token: string): string {
  const [header, payload = '', signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  return [header, part({ ...claims, email: 'admin@runs.example.com' }), signature].join('.');
}

describe('AUTH=google', () => {
  it('guards every route but the two that tell of health', () => {
    expect(guarded.length).toBeGreaterThan(10);
    expect(routes().length).toBe(guarded.length + OPEN.size);
  });

  it.each(BAD)('answers %s with 401 on every route, with a challenge, and records no run', async (_, headersOf, reason) => {
    const headers = await headersOf();
    for (const route of guarded) {
      const answer = await call(route, headers);
      expect([route.path, answer.status]).toEqual([route.path, 401]);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="jobs"/);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(answer.body.detail).toMatch(reason);
    }
    expect(await BatchJobRun.list({ limit: 10 })).toEqual([]);
  });

  it('asks who calls before it says what there is, and before it reads the body', async () => {
    expect((await request(app).post('/jobs/no-such-job').send({})).status).toBe(401);
    expect((await request(app).get('/no/such/address')).status).toBe(401);
    expect((await request(app).post('/jobs/echo').set('Content-Type', 'application/json').send('{ broken')).status).toBe(401);
  });

  it('answers health to everybody', async () => {
    expect((await request(app).get('/healthz')).status).toBe(200);
    expect((await request(app).get('/readyz')).status).toBe(200);
  });

  it('lets a caller run, whose e-mail is then on the run', async () => {
    const answer = await call({ method: 'post', path: '/jobs/:slug' }, bearer(await google.sign({ email: 'Caller@Example.com' }))).send({ a: 1 });
    expect([answer.status, answer.body]).toEqual([200, { echo: { a: 1 } }]);
    expect(await BatchJobRun.find(answer.headers['job-run-id']!)).toMatchObject({ requestedBy: 'caller@example.com' });
  });

  it.each([
    ['a few seconds past its end', { exp: -20, iat: -3_600 }],
    ['a few seconds ahead', { exp: 3_600, iat: 20 }],
  ])('forgives clocks that differ: %s', async (_, { exp, iat }) => {
    expect((await call({ method: 'get', path: '/jobs' }, bearer(await google.sign({ exp: now() + exp, iat: now() + iat })))).status).toBe(200);
  });

  it('takes the assertion of Identity-Aware Proxy for a person in a browser', async () => {
    expect((await call({ method: 'get', path: '/runs' }, { 'X-Goog-IAP-JWT-Assertion': await iap.sign({ email: 'viewer@example.com' }) })).status).toBe(200);
  });

  it.each([
    ['whose e-mail is not verified', { email_verified: false }],
    ['whose e-mail is verified in a word', { email_verified: 'true' }],
    ['without an e-mail', { email: undefined }],
    ['who is on no list', { email: 'stranger@example.com' }],
    ['of a domain below a listed one', { email: 'a@sub.runs.example.com', hd: 'sub.runs.example.com' }],
    ['of a domain that ends like a listed one', { email: 'a@evilruns.example.com', hd: 'evilruns.example.com' }],
    ['with two at signs', { email: 'caller@example.com@evil.example', hd: 'runs.example.com' }],
  ])('answers one %s with 403 on every route', async (_, claims) => {
    const headers = bearer(await google.sign(claims));
    for (const route of guarded) expect([route.path, (await call(route, headers)).status]).toEqual([route.path, 403]);
    expect(await BatchJobRun.list({ limit: 10 })).toEqual([]);
  });

  it('lets a viewer read and start nothing', async () => {
    const headers = bearer(await google.sign({ email: 'viewer@example.com' }));
    for (const route of guarded) {
      const isRefused = route.method === 'post' || route.path === '/audit';
      expect([route.path, (await call(route, headers)).status === 403]).toEqual([route.path, isRefused]);
    }
  });
});

describe('config.callers', () => {
  const run = async (email: string) => request(app).post('/jobs/for-some').set(bearer(await google.sign({ email, hd: 'runs.example.com' }))).send({});

  it('lets those run the job whom it names, and records no run of others', async () => {
    expect((await run('named@runs.example.com')).status).toBe(200);
    const refused = await run('other@runs.example.com');
    expect([refused.status, refused.body.detail]).toEqual([403, expect.stringContaining('config.callers does not name')]);
    expect(await BatchJobRun.list({ jobName: 'for-some', limit: 10 })).toHaveLength(1);
  });

  it('holds for a rehearsal and for a run that is started again', async () => {
    const { id } = (await BatchJobRun.list({ jobName: 'for-some', limit: 1 }))[0] ?? { id: (await run('named@runs.example.com')).headers['job-run-id']! };
    await knex('batch_job_run').where({ id }).update({ status: 'failed' });
    const other = bearer(await google.sign({ email: 'other@runs.example.com', hd: 'runs.example.com' }));
    expect((await request(app).post(`/runs/${id}/retry`).set(other)).status).toBe(403);
    expect((await request(app).post('/jobs/for-some/rehearse').set(other).send({})).status).toBe(403);
    expect((await BatchJobRun.find(id))?.status).toBe('failed');
  });

  it('refuses everybody where nobody is verified', async () => {
    const answer = await request(testApp()).post('/jobs/for-some').send({});
    expect([answer.status, answer.body.detail]).toEqual([403, expect.stringContaining('nobody is verified here')]);
  });
});

describe('AUTH=cloud-run', () => {
  const cloudRun = () => testApp(testRegistry(), { authenticate: createAuthenticator(authConfig({ AUTH: 'cloud-run' })), isLocal: false });

  it('puts the e-mail of the token, whose signature Cloud Run has taken away, on the run', async () => {
    const token = (await google.sign({ email: 'Job@my-project.iam.gserviceaccount.com' })).replace(/[^.]+$/, 'SIGNATURE_REMOVED_BY_GOOGLE');
    const answer = await request(cloudRun()).post('/jobs/echo').set(bearer(token)).send({});
    expect(answer.status).toBe(200);
    expect(await BatchJobRun.find(answer.headers['job-run-id']!)).toMatchObject({ requestedBy: 'job@my-project.iam.gserviceaccount.com' });
  });

  it.each(['garbage', 'a.b.c'])('runs without a name for a token that says none: %s', async (token) => {
    const answer = await request(cloudRun()).post('/jobs/echo').set(bearer(token)).send({});
    expect(await BatchJobRun.find(answer.headers['job-run-id']!)).toMatchObject({ requestedBy: null });
  });
});

describe('the keys', () => {
  const verify = (keyOf: ReturnType<typeof createKeyStore>, token: string) => verifyToken(token, { algorithm: 'RS256', issuers: [ISSUER], audiences: [AUDIENCE], keyOf });
  let issuer: TokenIssuer;
  beforeEach(async () => void (issuer = await startTokenIssuer()));
  afterEach(() => issuer.close());

  it('are fetched once for many tokens at once', async () => {
    const keyOf = createKeyStore({ url: issuer.jwksUrl });
    const token = await issuer.sign();
    await Promise.all(Array.from({ length: 20 }, () => verify(keyOf, token)));
    expect(issuer.requests()).toBe(1);
  });

  it('are fetched anew for an unknown id, so that a new key works at once', async () => {
    const keyOf = createKeyStore({ url: issuer.jwksUrl, coolDown: 0 });
    await verify(keyOf, await issuer.sign());
    await issuer.addKey('second');
    await expect(verify(keyOf, await issuer.sign({}, { kid: 'second' }))).resolves.toMatchObject({ email: 'caller@example.com' });
    expect(issuer.requests()).toBe(2);
  });

  it('are not asked for by a flood of made-up ids', async () => {
    const keyOf = createKeyStore({ url: issuer.jwksUrl });
    for (let n = 0; n < 50; n++) await expect(verify(keyOf, await issuer.sign({}, { kid: `made-up-${n}`, key: 'first' }))).rejects.toMatchObject({ status: 401 });
    expect(issuer.requests()).toBe(1);
  });

  it('serve on while the key server is down; a token by another one cannot be judged then', async () => {
    const keyOf = createKeyStore({ url: issuer.jwksUrl, freshFor: 0, coolDown: 0 });
    await verify(keyOf, await issuer.sign());
    issuer.setDown(true);
    await verify(keyOf, await issuer.sign());
    await waitUntil('newer keys were asked for in vain', () => issuer.requests() > 1);
    await expect(verify(keyOf, await issuer.sign())).resolves.toMatchObject({ email: 'caller@example.com' });
    await expect(verify(keyOf, await issuer.sign({}, { kid: 'other', key: 'first' }))).rejects.toMatchObject({ status: 503 });
  });

  it('are not used any more when the key server has been down for longer than they may be stale', async () => {
    const keyOf = createKeyStore({ url: issuer.jwksUrl, freshFor: 0, staleFor: 0, coolDown: 0 });
    issuer.setDown(true);
    await expect(verify(keyOf, await issuer.sign())).rejects.toMatchObject({ status: 503 });
  });

  it('that cannot be had are 503, with a time to come again, and are had once the server is back', async () => {
    issuer.setDown(true);
    const authenticate = createAuthenticator(authConfig({ AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_CALLERS: '@example.com', AUTH_JWKS_URL: issuer.jwksUrl }));
    const answer = await request(testApp(testRegistry(), { authenticate })).get('/jobs').set(bearer(await issuer.sign()));
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '30']);
    issuer.setDown(false);
    const keyOf = createKeyStore({ url: issuer.jwksUrl });
    await expect(verify(keyOf, await issuer.sign())).resolves.toBeDefined();
  });
});
