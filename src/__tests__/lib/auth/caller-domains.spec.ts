import fc from 'fast-check';
import request from 'supertest';
import knex from '@commons/backend/lib/knex.js';
import { readAuthConfig } from '@commons/backend/lib/auth/auth-config.js';
import { createAuthenticator } from '@commons/backend/lib/auth/authenticator.js';
import { readEmail } from '@commons/backend/lib/auth/callers.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../../helpers/token-issuer.js';
import { testApp, testRegistry } from '../../helpers/test-app.js';

const IAP_AUDIENCE = '/projects/123456789/global/backendServices/987654321';
const PROJECT = 'my-project.iam.gserviceaccount.com';
const ROBOT = '113774264463038321964';

let google: TokenIssuer;
let iap: TokenIssuer;

const authConfig = (env: Record<string, string>) =>
  readAuthConfig((name, read) => (env[name] === undefined ? undefined : read(env[name])), (fault) => { throw new Error(fault); });

const authenticator = (callers: string) => createAuthenticator(authConfig({
  AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_JWKS_URL: google.jwksUrl, AUTH_IAP_AUDIENCES: IAP_AUDIENCE, AUTH_IAP_JWKS_URL: iap.jwksUrl, AUTH_CALLERS: callers,
}));

beforeAll(async () => {
  [google, iap] = await Promise.all([startTokenIssuer(), startTokenIssuer({ algorithm: 'ES256', issuer: 'https://cloud.google.com/iap', audience: IAP_AUDIENCE })]);
});
afterAll(() => Promise.all([google.close(), iap.close()]));

const bearer = async (claims: object) => ({ authorization: `Bearer ${await google.sign(claims as never)}` });
const assertion = async (claims: object) => ({ 'x-goog-iap-jwt-assertion': await iap.sign({ email_verified: undefined, ...claims }) });

/** Each with whether an entry @example.com lets it run. */
const PEOPLE: readonly (readonly [string, object, boolean])[] = [
  ['with hd of the domain', { email: 'a@example.com', hd: 'example.com' }, true],
  ['with hd and e-mail in other letters', { email: 'A@Example.COM', hd: 'EXAMPLE.com' }, true],
  ['without hd: a private account under an address of the domain', { email: 'a@example.com' }, false],
  ['with hd of another organisation', { email: 'a@example.com', hd: 'evil.example' }, false],
  ['with hd, but an e-mail of another domain of the same organisation', { email: 'a@alias.example', hd: 'example.com' }, false],
  ['of a sub-domain', { email: 'a@sub.example.com', hd: 'sub.example.com' }, false],
  ['of a sub-domain, with hd of the domain', { email: 'a@sub.example.com', hd: 'example.com' }, false],
  ['with hd of a sub-domain', { email: 'a@example.com', hd: 'sub.example.com' }, false],
  ['with a dot behind hd', { email: 'a@example.com', hd: 'example.com.' }, false],
  ['with a dot behind both', { email: 'a@example.com.', hd: 'example.com.' }, false],
  ['with a blank before hd', { email: 'a@example.com', hd: ' example.com' }, false],
  ['with an empty hd', { email: 'a@example.com', hd: '' }, false],
  ['with hd as a list', { email: 'a@example.com', hd: ['example.com'] }, false],
  ['with hd as an object', { email: 'a@example.com', hd: { toString: 'example.com' } }, false],
  ['with hd: true', { email: 'a@example.com', hd: true }, false],
  ['with hd in look-alikes', { email: 'a@example.com', hd: 'ex\u0430mple.com' }, false],
  ['with hd in letters that become plain ones in lower case', { email: 'a@k.example', hd: '\u212a.example' }, false],
  ['with the e-mail in look-alikes', { email: 'a@ex\u0430mple.com', hd: 'example.com' }, false],
  ['with full-width letters', { email: 'a@ｅxample.com', hd: 'ｅxample.com' }, false],
  ['with several @', { email: 'a@evil.example@example.com', hd: 'example.com' }, false],
  ['with a quoted local part', { email: '"a"@example.com', hd: 'example.com' }, false],
  ['with a quoted @', { email: '"a@evil.example"@example.com', hd: 'example.com' }, false],
  ['with a comment', { email: 'a(x)@example.com', hd: 'example.com' }, false],
  ['with a comment in the domain', { email: 'a@(x)example.com', hd: 'example.com' }, false],
  ['with a route', { email: '<@evil.example:a@example.com>', hd: 'example.com' }, false],
  ['of an outside identity provider behind the proxy', { email: 'securetoken.google.com/my-project/tenant:a@example.com', hd: 'example.com' }, false],
];

describe.each([['an identity token', bearer], ["the proxy's assertion", assertion]] as const)('%s and the entry @example.com', (_, headersOf) => {
  it.each(PEOPLE)('%s', async (_what, claims, mayRun) => {
    const caller = Promise.resolve(authenticator('@example.com, @k.example')(await headersOf(claims) as never));
    await expect(caller.then(({ permissions }) => permissions.includes('run'), (error: { status: number }) => error.status !== 403)).resolves.toBe(mayRun);
  });

  it('lets a person in who is named, with or without hd', async () => {
    for (const hd of [undefined, 'example.com', 'primary.example']) {
      await expect(authenticator('@example.org, a@example.com')(await headersOf({ email: 'A@example.com', hd }) as never)).resolves.toMatchObject({ permissions: ['run', 'read'] });
    }
  });

  it('holds in any letters', async () => {
    await expect(authenticator('@Example.COM')(await headersOf({ email: 'a@example.com', hd: 'example.com' }) as never)).resolves.toMatchObject({ permissions: ['run', 'read'] });
  });
});

describe("the entry of a project's service accounts", () => {
  const mayRun = async (claims: object, headersOf: (claims: object) => Promise<object> = bearer) =>
    (await authenticator(`@${PROJECT}`)(await headersOf({ sub: ROBOT, ...claims }) as never)).permissions.includes('run');

  it('lets them run, who have no hd', async () => {
    expect(await mayRun({ email: `scheduler@${PROJECT}`, azp: ROBOT })).toBe(true);
    expect(await mayRun({ email: `scheduler@${PROJECT}`, azp: `scheduler@${PROJECT}` })).toBe(true);
    expect(await mayRun({ email: `scheduler@${PROJECT}` })).toBe(true);
    expect(await mayRun({ email: `scheduler@${PROJECT}` }, assertion)).toBe(true);
  });

  it.each([
    ['of another project', { email: 'scheduler@other-project.iam.gserviceaccount.com' }],
    ['of a project that ends like it', { email: `scheduler@not-${PROJECT}` }],
    ['of a project below it', { email: `scheduler@x.${PROJECT}` }],
    ["that a client got for a person, as its azp tells", { email: `scheduler@${PROJECT}`, azp: '32555940559.apps.googleusercontent.com' }],
    ['of an account of an organisation', { email: `scheduler@${PROJECT}`, hd: PROJECT }],
    ['with hd of the project', { email: 'a@example.com', hd: PROJECT }],
    ['of a domain that only holds the name', { email: `scheduler@${PROJECT}.evil.example` }],
  ])('lets nobody run with a token %s', async (_, claims) => {
    expect(await mayRun(claims)).toBe(false);
  });

  it('need not be one to be named', async () => {
    const email = '123456789-compute@developer.gserviceaccount.com';
    await expect(authenticator(`${email}, my-project@appspot.gserviceaccount.com`)(await bearer({ email, sub: ROBOT, azp: ROBOT }) as never)).resolves.toMatchObject({ permissions: ['run', 'read'] });
  });
});

it.each(['gmail.com', 'googlemail.com', 'developer.gserviceaccount.com', 'appspot.gserviceaccount.com', 'cloudservices.gserviceaccount.com', 'iam.gserviceaccount.com', 'gserviceaccount.com', 'gcp-sa-cloudscheduler.iam.gserviceaccount.com'])(
  'an entry is refused for a domain that proves no organisation: @%s', (domain) => {
    expect(() => authConfig({ AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_CALLERS: `@${domain}` })).toThrow(/'@[a-z.-]+'.*name the accounts/);
    expect(() => authConfig({ AUTH: 'google', AUTH_AUDIENCES: AUDIENCE, AUTH_CALLERS: `a@${domain}` })).not.toThrow();
  },
);

it("a job's config.callers wants hd for a domain too", async () => {
  const authenticate = authenticator('a@example.com, b@example.com');
  const app = testApp(testRegistry(), { authenticate });
  const run = async (claims: object) => (await request(app).post('/jobs/for-a-domain').set(await bearer(claims)).send({})).status;
  await knex('batch_job_run').delete();
  expect(await run({ email: 'a@example.com', hd: 'example.com' })).toBe(200);
  expect(await run({ email: 'b@example.com' })).toBe(403);
  expect(await run({ email: 'b@example.com', hd: 'evil.example' })).toBe(403);
});

describe('whatever a token claims', () => {
  const domain = fc.constantFrom('example.com', 'EXAMPLE.com', 'sub.example.com', 'example.com.', '.example.com', 'evil.example', 'example.comm', 'xexample.com', 'ex\u0430mple.com', 'ﬀ.example', PROJECT, '', ' example.com');
  const hd = fc.oneof(domain, fc.constant(undefined), fc.string(), fc.array(domain, { maxLength: 2 }), fc.anything({ maxDepth: 1 }).filter((value) => typeof value !== 'bigint'));
  const local = fc.oneof(fc.constantFrom('a', '"a"', 'a(x)', 'a@evil.example', 'x:a', 'a.b', ''), fc.string({ maxLength: 8 }));

  it('lets nobody in by a domain but those whose hd, or whose service account, is of it', async () => {
    const authenticate = authenticator(`@example.com, @${PROJECT}`);
    await fc.assert(fc.asyncProperty(local, domain, hd, fc.option(fc.constantFrom(ROBOT, 'x.apps.googleusercontent.com'), { nil: undefined }), async (name, of, claimed, azp) => {
      const claims = { email: `${name}@${of}`, hd: claimed, azp, sub: ROBOT };
      const caller = await Promise.resolve(authenticate(await bearer(claims) as never)).catch((error: { status: number }) => error);
      if (!('permissions' in caller)) return expect(caller.status).toBe(403);
      const email = readEmail(claims.email);
      const isOfDomain = email?.endsWith('@example.com') === true && typeof claimed === 'string' && claimed.toLowerCase() === 'example.com';
      const isRobot = email?.endsWith(`@${PROJECT}`) === true && (claimed === undefined) && (azp === undefined || azp === ROBOT);
      expect(caller.permissions.includes('run')).toBe(isOfDomain || isRobot);
    }), { numRuns: 300 });
  });

  it('takes for an e-mail only what every system reads alike', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'a', 'B', 'B', '1', '1', '.', '-', '@', '"', '(', ')', '\\', ',', ' ', '<', ':', '\u212a', '\0', '+', '_'), maxLength: 3 });
    let emails = 0;
    fc.assert(fc.property(fc.tuple(text, text, text).map(([name, domain, end]) => `a${name}@x${domain}.${end}`), (text) => {
      const email = readEmail(text);
      if (email === undefined) return;
      emails++;
      expect(email).toMatch(/^[a-z\d+_-]+(\.[a-z\d+_-]+)*@[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)+$/);
      expect(email).toBe(text.toLowerCase());
    }), { numRuns: 3_000 });
    expect(emails).toBeGreaterThan(10);
  });
});
