import type { RequestHandler } from 'express';
import { Forbidden } from '../../lib/auth/auth-error.js';

/**
 * Refuses what another site's page has a browser send in its user's name (CSRF). A browser says where a request comes from
 * (Sec-Fetch-Site, https://www.w3.org/TR/fetch-metadata/, or Origin where it is older); programs say nothing. A bearer token is no
 * browser's to send by itself, so a request that has one needs no such proof; a password (Basic) is.
 */
export const sameSiteHandler: RequestHandler = (req, _res, next) => {
  const { authorization, origin, host, 'sec-fetch-site': site } = req.headers;
  if (req.method === 'GET' || req.method === 'HEAD' || /^Bearer /i.test(authorization ?? '')) return next();
  const isForeign = site === undefined ? origin !== undefined && !isSameHost(origin, host) : site !== 'same-origin' && site !== 'none';
  if (isForeign) throw new Forbidden("Another site's page asked for this, in a browser. Ask from this service's own pages, or with a token.");
  next();
};

const isSameHost = (origin: string, host: string | undefined): boolean => URL.canParse(origin) && new URL(origin).host === host;
