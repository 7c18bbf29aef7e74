import type { RequestHandler } from 'express';
import helmet from 'helmet';

/** Those of helmet's headers that mean something to the browsers of today. */
const fromHelmet = helmet({
  contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'self'"], frameAncestors: ["'none'"] } },
  frameguard: { action: 'deny' },
  dnsPrefetchControl: false,
  ieNoOpen: false,
  originAgentCluster: false,
  permittedCrossDomainPolicies: false,
  xssFilter: false,
  hidePoweredBy: false,
});

/** What a browser may do with an answer: nothing but show it, and in no other site's frame. */
export function securityHeaders(): RequestHandler {
  // They are the same for every answer: asked for once, since helmet asks each of its parts every time.
  const headers: [string, string][] = [];
  const recorder = { setHeader: (name: string, value: string) => headers.push([name, value]), removeHeader: () => undefined };
  fromHelmet({} as never, recorder as never, () => undefined);
  return (_req, res, next) => {
    for (const [name, value] of headers) res.setHeader(name, value);
    next();
  };
}
