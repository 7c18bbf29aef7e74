import type { RequestHandler } from 'express';
import { ServiceError } from '../lib/service-error.js';

/** Why no more work is taken just now, or undefined while it is. */
export type WhyFull = () => string | undefined;

/**
 * Answers 503 to whoever asks for work while there is too much of it, before the body is read: a scheduler comes again, and what
 * runs goes on. A run that has begun is never given up for it.
 */
export const admissionHandler =
  (whyFull: WhyFull): RequestHandler =>
  (_req, _res, next) => {
    const reason = whyFull();
    if (reason !== undefined) throw new ServiceError(503, reason, { retryAfterSeconds: 5 });
    next();
  };
