import express from 'express';
import helmet from 'helmet';
import request from 'supertest';
import { SECURITY_HEADERS } from '@commons/backend/handlers/middleware/security-headers.js';
import { testApp } from '../../helpers/test-app.js';

/** As the service would use helmet: its defaults, without the headers that mean nothing to the browsers of today. */
const withHelmet = express()
  .disable('x-powered-by')
  .disable('etag')
  .use(
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'self'"], frameAncestors: ["'none'"] } },
      frameguard: { action: 'deny' },
      dnsPrefetchControl: false,
      ieNoOpen: false,
      originAgentCluster: false,
      permittedCrossDomainPolicies: false,
      xssFilter: false,
      hidePoweredBy: false,
    }),
    (_req, res) => void res.end(),
  );
const bare = express()
  .disable('x-powered-by')
  .disable('etag')
  .use((_req, res) => void res.end());

/** What helmet adds to an answer. */
async function helmetHeaders(): Promise<Record<string, string>> {
  const [{ headers }, { headers: plain }] = await Promise.all([request(withHelmet).get('/'), request(bare).get('/')]);
  return Object.fromEntries(Object.entries(headers as Record<string, string>).filter(([name]) => !(name in plain)));
}

describe('the security headers', () => {
  it('are those that helmet sends', async () => {
    const helmets = await helmetHeaders();
    expect(helmets).toHaveProperty('content-security-policy');
    const ours = Object.entries(SECURITY_HEADERS).map(([name, value]) => [name.toLowerCase(), value]);
    expect(Object.fromEntries(ours)).toEqual(helmets);
  });

  it.each(['/jobs', '/nowhere', '/%'])('are on the answer of GET %s, whatever it is', async (address) => {
    const { headers } = await request(testApp()).get(address);
    expect(headers).toMatchObject(await helmetHeaders());
  });

  it('are all that the service says of itself: not what it is built with', async () => {
    const { headers } = await request(testApp()).get('/jobs');
    expect(headers['x-powered-by']).toBeUndefined();
  });
});
