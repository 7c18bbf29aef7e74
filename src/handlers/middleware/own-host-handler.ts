import type { RequestHandler } from 'express';
import { isLoopback } from '../../lib/auth/auth-config.js';
import { ServiceError } from '../../lib/errors/service-error.js';

/**
 * On a server for this machine alone, refuses whoever calls it by another name: a page whose own name has been pointed at
 * 127.0.0.1 (DNS rebinding) passes for the same origin in a browser, but must name itself in Host. 421 (RFC 9110, 15.5.20).
 */
export const ownHostHandler: RequestHandler = (req, _res, next) => {
  if (!isLoopback(hostName(req.headers.host))) throw new ServiceError(421, 'This service answers to localhost alone. Call it by that name.');
  next();
};

/** The name in a Host header: without the port, and an IPv6 address without its brackets. */
const hostName = (host = ''): string => (/^\[([^\]]*)\](?::\d*)?$/.exec(host)?.[1] ?? host.replace(/:\d*$/, '')).toLowerCase();
