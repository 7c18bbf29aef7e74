import type { RequestHandler } from 'express';
import helmet from 'helmet';

/** What a browser may do with an answer: nothing but show it, and in no other site's frame. */
export const securityHeaders = (): RequestHandler =>
  helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'self'"], frameAncestors: ["'none'"] } },
    frameguard: { action: 'deny' },
  });
