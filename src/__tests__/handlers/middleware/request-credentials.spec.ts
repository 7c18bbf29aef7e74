import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { readAuthConfig } from '@commons/backend/lib/auth/auth-config.js';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../../helpers/token-issuer.js';
import { testApp, testRegistry } from '../../helpers/test-app.js';

const SIGNATURE = 'SIGNATURE_REMOVED_BY_GOOGLE';
const IAP_AUDIENCE = '/projects/123456789/global/backendServices/987654321';

let google: TokenIssuer;
let iap: TokenIssuer;
const servers: http.Server[] = [];

beforeAll(async () => {
  [google, iap] = await Promise.all([startTokenIssuer(), startTokenIssuer({ algorithm: 'ES256', issuer: 'https://cloud.google.com/iap', audience: IAP_AUDIENCE })]);
});
afterAll(async () => {
  for (const server of servers) server.close();
  await Promise.all([google.close(), iap.close()]);
});

async function serve(env: Record<string, string>): Promise<number> {
  const config = readAuthConfig((name, read) => (env[name] === undefined ? undefined : read(env[name])), (fault) => { throw new Error(fault); });
  const server = http.createServer(testApp(testRegistry(), { authenticate: createAuthenticator(config), isLocal: false }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

const serveGoogle = (audiences = AUDIENCE) => serve({
  AUTH: 'google', AUTH_AUDIENCES: audiences, AUTH_JWKS_URL: google.jwksUrl, AUTH_IAP_AUDIENCES: IAP_AUDIENCE, AUTH_IAP_JWKS_URL: iap.jwksUrl, AUTH_CALLERS: 'caller@example.com',
});
const serveCloudRun = () => serve({ AUTH: 'cloud-run' });

/** Sends headers as they stand, also twice the same. */
const post = (port: number, job: string, headers: readonly string[]) => new Promise<{ status: number; runId: string; text: string }>((resolve, reject) => {
  const request = http.request({ port, host: '127.0.0.1', method: 'POST', path: `/jobs/${job}`, headers: ['Host', 'jobs.example.com', 'Content-Length', '0', ...headers] }, (answer) => {
    let text = '';
    answer.on('data', (part: Buffer) => (text += part.toString())).on('end', () => resolve({ status: answer.statusCode!, runId: String(answer.headers['job-run-id']), text }));
  });
  request.on('error', reject).end();
});

const requestedBy = async (runId: string) => (await BatchJobRun.find(runId))?.requestedBy;
const bearer = async (claims: object = {}) => `Bearer ${await google.sign(claims as never)}`;
/** As Cloud Run hands a token on that it has checked. */
const checked = async (email: string) => (await bearer({ email })).replace(/[^.]+$/, SIGNATURE);

describe('a job', () => {
  const PROOFS = ['aUthOrIzAtIon', 'X-Serverless-Authorization', 'X-Forwarded-Authorization', 'Proxy-Authorization', 'X-Goog-IAP-JWT-Assertion'];

  it.each([['google', serveGoogle], ['cloud-run', serveCloudRun]] as const)('finds no token and no cookie in its request with AUTH=%s, in whatever form it looks', async (_, start) => {
    const token = await bearer();
    const headers = [...PROOFS.flatMap((name) => [name, name.startsWith('X-Goog') ? token.slice(7) : token]), 'Authorization', `${token}twice`, 'Cookie', 'GCP_IAAP_AUTH_TOKEN=Session', 'X-Mine', 'kept'];
    const { status, text } = await post(await start(), 'shows-request', headers);
    expect(status).toBe(200);
    for (const part of token.slice(7).split('.')) expect(text).not.toContain(part);
    expect(text).not.toContain('Session');
    expect(text).toContain('kept');
  });

  it('finds no assertion of the proxy, nor the session behind it', async () => {
    const assertion = await iap.sign({ email_verified: undefined });
    const { status, text } = await post(await serveGoogle(), 'shows-request', ['x-goog-iap-jwt-assertion', assertion, 'Cookie', 'GCP_IAP_UID=Session']);
    expect([status, text.includes(assertion.split('.')[1]!), text.includes('Session')]).toEqual([200, false, false]);
  });
});

describe('X-Serverless-Authorization (https://cloud.google.com/run/docs/authenticating/service-to-service)', () => {
  it('alone is whose token Cloud Run has checked where there are both headers, so the other names nobody', async () => {
    const port = await serveCloudRun();
    const both = await post(port, 'no-op', ['Authorization', await bearer({ email: 'forged@example.com' }), 'X-Serverless-Authorization', await checked('real@example.com')]);
    expect(await requestedBy(both.runId)).toBe('real@example.com');
  });

  it.each([
    ['is empty', ''],
    ['is no bearer token', 'Basic dXNlcjpwYXNz'],
    ['cannot be read', 'Bearer x.y.z'],
  ])('names nobody when it %s, whatever Authorization holds', async (_, value) => {
    const { status, runId } = await post(await serveCloudRun(), 'no-op', ['Authorization', await bearer({ email: 'forged@example.com' }), 'X-Serverless-Authorization', value]);
    expect([status < 300, await requestedBy(runId)]).toEqual([true, null]);
  });

  it('names nobody when it comes twice', async () => {
    const { runId } = await post(await serveCloudRun(), 'no-op', ['X-Serverless-Authorization', await checked('a@example.com'), 'X-Serverless-Authorization', await checked('b@example.com')]);
    expect(await requestedBy(runId)).toBeNull();
  });

  it('is not needed: without it, Cloud Run has checked Authorization', async () => {
    const { runId } = await post(await serveCloudRun(), 'no-op', ['Authorization', await checked('real@example.com')]);
    expect(await requestedBy(runId)).toBe('real@example.com');
  });

  it('is for Cloud Run alone with AUTH=google: the service verifies Authorization itself', async () => {
    const port = await serveGoogle();
    const both = await post(port, 'no-op', ['Authorization', await bearer(), 'X-Serverless-Authorization', await checked('other@example.com')]);
    expect([both.status < 300, await requestedBy(both.runId)]).toEqual([true, 'caller@example.com']);
    expect((await post(port, 'no-op', ['X-Serverless-Authorization', await bearer()])).status).toBe(401);
    expect((await post(port, 'no-op', ['Authorization', await checked('caller@example.com'), 'X-Serverless-Authorization', await bearer()])).status).toBe(401);
  });

  it.each(['caller@example.com@evil.example', '"a"@example.com', 'a(b)@example.com', 'c\u0430ller@example.com', ' caller@example.com', 'caller@example.com\n', 'x'.repeat(250) + '@example.com', '@example.com', 'caller'])(
    'puts no name on a run of which it is not sure what it is: %j', async (email) => {
      const { status, runId } = await post(await serveCloudRun(), 'no-op', ['Authorization', await checked(email)]);
      expect([status < 300, await requestedBy(runId)]).toEqual([true, null]);
    },
  );
});

describe('a token for several audiences', () => {
  const status = async (aud: unknown, audiences?: string) => (await post(await serveGoogle(audiences), 'no-op', ['Authorization', await bearer({ aud })])).status;

  it('is refused when one of them is not ours: whoever that is could send it on', async () => {
    for (const aud of [[AUDIENCE, 'https://other.example.com'], ['https://other.example.com', AUDIENCE], [AUDIENCE, ''], [AUDIENCE, `${AUDIENCE}/`], [AUDIENCE, AUDIENCE.toUpperCase()], [[AUDIENCE]], [], [AUDIENCE, null], [AUDIENCE, 1]]) {
      expect([aud, await status(aud)]).toEqual([aud, 401]);
    }
  });

  it('is let in when all of them are ours', async () => {
    expect(await status([AUDIENCE])).toBeLessThan(300);
    expect(await status([AUDIENCE, 'https://second.example.com'], `${AUDIENCE},https://second.example.com`)).toBeLessThan(300);
    expect(await status([AUDIENCE, 'https://second.example.com'])).toBe(401);
  });

  it('counts audiences of the proxy for its own assertions alone', async () => {
    expect(await status([AUDIENCE, IAP_AUDIENCE])).toBe(401);
    const assertion = await iap.sign({ aud: [IAP_AUDIENCE, AUDIENCE], email_verified: undefined } as never);
    expect((await post(await serveGoogle(), 'no-op', ['x-goog-iap-jwt-assertion', assertion])).status).toBe(401);
  });
});
