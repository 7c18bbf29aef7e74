import type { RequestHandler } from 'express';
import { ServiceError } from '../../lib/errors/service-error.js';

/**
 * Refuses an address with a fragment, which no client sends (RFC 9112, 3.2.1). Express reads such a one by other rules than the
 * rest, and turns its backslashes into slashes: `/jobs\name#` would run the job, past whatever in front looks at addresses.
 */
export const plainAddressHandler: RequestHandler = (req, _res, next) => {
  if (req.url.includes('#')) throw new ServiceError(400, 'The address holds a #. Encode it as %23.');
  next();
};
