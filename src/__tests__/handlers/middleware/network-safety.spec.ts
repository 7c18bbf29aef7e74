import request from 'supertest';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import { exposure } from '@commons/backend/lib/auth/exposure.js';
import { readEnvConfig } from '@commons/backend/lib/env-config.js';
import { parseRateLimit } from '@commons/backend/lib/auth/rate-limit.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../../helpers/service-process.js';
import { testApp, testRegistry } from '../../helpers/test-app.js';
import { waitUntil } from '../../helpers/wait-until.js';

const app = testApp();
const runEcho = (headers: Record<string, string>) => request(app).post('/jobs/echo').set(headers).send({});

afterEach(killServiceProcesses);

describe("a request that another site's page has a browser send", () => {
  it.each([
    ['cross-site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['from a sibling of the same site', { 'Sec-Fetch-Site': 'same-site' }],
    ['of an older browser', { Origin: 'https://evil.example' }],
    ['of a sandboxed frame', { Origin: 'null' }],
    ['with a password that a browser sends by itself', { 'Sec-Fetch-Site': 'cross-site', Authorization: 'Basic dXNlcjpwYXNz' }],
  ])('is refused: %s', async (_, headers) => {
    const before = (await BatchJobRun.list({ jobName: 'echo', limit: 100 })).length;
    const answer = await runEcho(headers);
    expect([answer.status, answer.body.detail]).toEqual([403, expect.stringContaining("Another site's page")]);
    expect(await BatchJobRun.list({ jobName: 'echo', limit: 100 })).toHaveLength(before);
  });

  it.each([
    ["the service's own page", { 'Sec-Fetch-Site': 'same-origin' }],
    ['typed by the user', { 'Sec-Fetch-Site': 'none' }],
    ['a program', {}],
    ['a page with a token', { 'Sec-Fetch-Site': 'cross-site', Authorization: 'Bearer x' }],
  ])('is let in when it is from elsewhere: %s', async (_, headers) => {
    expect((await runEcho(headers)).status).toBe(200);
  });

  it('may read, which a browser keeps from it', async () => {
    const answer = await request(app).get('/jobs').set('Sec-Fetch-Site', 'cross-site');
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin');
  });
});

describe('a server for this machine alone', () => {
  it.each(['evil.example', 'evil.example:8080', '127.0.0.1.evil.example', 'localhost.evil.example:80', '[::2]:8080', '169.254.169.254', ''])('answers 421 to the name %j', async (host) => {
    for (const path of ['/jobs', '/healthz']) {
      const answer = await request(app).get(path).set('Host', host);
      expect([answer.status, answer.headers['content-type']]).toEqual([421, expect.stringMatching(/^application\/problem\+json/)]);
    }
  });

  it.each(['localhost', 'LOCALHOST:8080', '127.0.0.1:1', '127.8.9.1', '[::1]:8080', '[::1]'])('answers to %s', async (host) => {
    expect((await request(app).get('/jobs').set('Host', host)).status).toBe(200);
  });

  it('is told from one for others, which answers to every name', async () => {
    expect((await request(testApp(testRegistry(), { isLocal: false })).get('/jobs').set('Host', 'jobs.example.com')).status).toBe(200);
  });
});

it('knows an address in its own case alone, as whatever stands in front does', async () => {
  expect((await request(app).post('/JOBS/echo').send({})).status).toBe(404);
});

describe('every answer', () => {
  it.each(['/jobs', '/no/such/page', '/healthz'])('lets a browser do nothing with it: %s', async (path) => {
    const { headers } = await request(app).get(path);
    expect(headers['content-security-policy']).toBe("default-src 'none';base-uri 'none';form-action 'self';frame-ancestors 'none'");
    expect(headers['x-frame-options']).toBe('DENY');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['x-powered-by']).toBeUndefined();
  });
});

describe('a service that others could reach', () => {
  it('does not start while nobody checks who calls, and says what to do', async () => {
    const service = startServiceProcess({ HOST: '0.0.0.0' }, { untilReady: false });
    await expect(service).rejects.toThrow(/AUTH: none lets everybody run jobs who reaches 0\.0\.0\.0.*AUTH=google/);
  });

  it('starts when that is said to be meant, and warns', async () => {
    const service = await startServiceProcess({ HOST: '0.0.0.0', ALLOW_UNAUTHENTICATED: 'yes' });
    expect(service.output()).toMatch(/ALLOW_UNAUTHENTICATED=yes: whoever reaches 0\.0\.0\.0 can run every job/);
  });

  const config = (env: Record<string, string>) => readEnvConfig(env).auth;
  const GOOGLE = { AUTH: 'google', AUTH_AUDIENCES: 'https://jobs.example.com', AUTH_CALLERS: '@example.com' };

  it.each([
    [{}, '127.0.0.1', undefined],
    [{}, 'localhost', undefined],
    [{}, '::1', undefined],
    [{}, '::', /AUTH: none/],
    [{}, '10.0.0.1', /AUTH: none/],
    [{ AUTH: 'cloud-run' }, '0.0.0.0', /this is not Cloud Run/],
    [{ AUTH: 'cloud-run', K_SERVICE: 'jobs' }, '0.0.0.0', undefined],
    [GOOGLE, '0.0.0.0', undefined],
  ])('%j on %s', (env, host, fault) => {
    if (fault) expect(exposure(config(env), host)).toMatch(fault);
    else expect(exposure(config(env), host)).toBeUndefined();
  });

  it.each([
    [{ AUTH: 'basic' }, /AUTH: 'basic' is none of none, google, cloud-run/],
    [{ AUTH: 'google' }, /AUTH_AUDIENCES: AUTH=google needs it[^]*AUTH_CALLERS: AUTH=google needs it/],
    [{ AUTH_CALLERS: '@example.com' }, /AUTH_CALLERS: it has no effect unless AUTH is google/],
    [{ ...GOOGLE, AUTH_CALLERS: 'A@Example.com, ' }, undefined],
    [{ ...GOOGLE, AUTH_CALLERS: '*@example.com' }, /AUTH_CALLERS: '\*@example.com' is neither/],
    [{ ...GOOGLE, AUTH_CALLERS: 'example.com' }, /AUTH_CALLERS: 'example.com' is neither an e-mail nor a domain/],
    [{ ...GOOGLE, AUTH_JWKS_URL: 'http://keys.example.com' }, /AUTH_JWKS_URL: it is no https address/],
    [{ ...GOOGLE, ALLOW_UNAUTHENTICATED: 'true' }, /ALLOW_UNAUTHENTICATED: 'true' is none of yes, no/],
  ])('says what is wrong with %j', (env, fault) => {
    if (fault) expect(() => config(env)).toThrow(fault);
    else expect(config(env).callers).toEqual(['a@example.com']);
  });
});

describe('a service that has enough to do', () => {
  it('answers 503 with Retry-After over MAX_ACTIVE_RUNS, runs nothing more, and takes work again afterwards', async () => {
    const service = await startServiceProcess({ MAX_ACTIVE_RUNS: '2' });
    const waiting = [1, 2].map(() => callJob(service, 'waits', { ms: 60_000 }));
    const active = await waitUntil('two run', async () => {
      const runs = await BatchJobRun.list({ jobName: 'waits', statuses: ['running'], limit: 10 });
      return runs.length === 2 ? runs : undefined;
    });
    const refused = await callJob(service, 'no-op');
    expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('job-run-id')]).toEqual([503, '5', null]);
    expect(await BatchJobRun.list({ jobName: 'no-op', limit: 1 })).toEqual([]);
    expect((await fetch(`${service.url}/runs`)).status).toBe(200);
    await Promise.all(active.map(({ id }) => fetch(`${service.url}/runs/${id}/cancel`, { method: 'POST' })));
    await Promise.all(waiting);
    expect((await callJob(service, 'no-op')).status).toBe(200);
  });

  it('answers 503 while its event loop is blocked again and again', async () => {
    const service = await startServiceProcess({ MAX_EVENT_LOOP_DELAY: '100ms' });
    const blocking = callJob(service, 'blocks-often');
    await waitUntil('it is busy', async () => {
      const answer = await callJob(service, 'no-op');
      return answer.status === 503 && (await answer.text()).includes('MAX_EVENT_LOOP_DELAY');
    });
    await waitUntil('it is idle again', async () => (await callJob(service, 'no-op')).status === 200);
    expect((await blocking).status).toBe(204);
  });
});

describe('RATE_LIMIT', () => {
  it('answers 429 to a caller that asks too often, with when to come again, and leaves others alone', async () => {
    const email = (name: string) => ({ Authorization: `Bearer ${Buffer.from('{}').toString('base64url')}.${Buffer.from(JSON.stringify({ email: name })).toString('base64url')}.x` });
    const limited = testApp(testRegistry(), { authenticate: createAuthenticator({ ...readEnvConfig({ AUTH: 'cloud-run' }).auth }), rateLimit: parseRateLimit('3/1h') });
    const get = (name: string) => request(limited).get('/jobs').set(email(name));
    for (let n = 0; n < 3; n++) expect((await get('one@example.com')).status).toBe(200);
    const refused = await get('one@example.com');
    expect([refused.status, refused.headers['content-type']]).toEqual([429, expect.stringMatching(/^application\/problem\+json/)]);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(3_000);
    expect((await get('two@example.com')).status).toBe(200);
    expect((await request(limited).get('/healthz')).status).toBe(200);
  });

  it.each(['often', '10', '0/1m', '10/soon'])('is refused as %s', (text) => {
    expect(() => readEnvConfig({ RATE_LIMIT: text })).toThrow(/RATE_LIMIT: /);
  });
});
