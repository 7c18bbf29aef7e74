import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import type { RequestHandler } from 'express';
import { blank } from '../../lib/errors/problem.js';
import type { RateLimit } from '../../lib/auth/rate-limit.js';
import { callerOf } from './authenticate-handler.js';
import { sendProblem } from '../answers/send-problem.js';

/**
 * Answers 429 to a caller that asks more often than it may, with the headers RateLimit and Retry-After
 * (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/). A caller is its e-mail, or else its address; each
 * replica counts for itself.
 */
export const rateLimitHandler = ({ requests, windowMs }: RateLimit): RequestHandler =>
  rateLimit({
    limit: requests,
    windowMs,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    keyGenerator: (req) => callerOf(req).email ?? ipKeyGenerator(req.ip ?? ''),
    handler: (_req, res) => sendProblem(res, { ...blank(429), detail: `This caller may ask ${requests} times in ${windowMs / 1_000} s (RATE_LIMIT). Come again later.` }),
  });
