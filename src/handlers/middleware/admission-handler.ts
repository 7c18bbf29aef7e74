import type { Request, RequestHandler } from 'express';
import { ServiceError } from '../../lib/errors/service-error.js';
import { takePlace, whyNoPlace } from '../../runs/active-runs.js';

/** Why no more work is taken just now, or undefined while it is. */
export type WhyFull = () => string | undefined;

/**
 * Answers 503 to whoever asks for work while there is too much of it, before the body is read: a scheduler comes again, and what
 * runs goes on. A run that has begun is never given up for it.
 */
export const admissionHandler =
  (whyFull: WhyFull): RequestHandler =>
  (_req, _res, next) => {
    const reason = whyNoPlace() ?? whyFull();
    if (reason !== undefined) throw new ServiceError(503, reason, { retryAfterSeconds: 5 });
    next();
  };

const leaves = new WeakMap<Request, () => void>();

/**
 * Has the handler work in one of the MAX_ACTIVE_RUNS places. It is taken once the body is there, so that slow callers hold none.
 * @throws {ServiceError} 503 when there is none
 */
export const inPlace =
  (handler: RequestHandler): RequestHandler =>
  async (req, res, next) => {
    leaves.set(req, takePlace());
    try {
      await handler(req, res, next);
    } finally {
      leaves.get(req)?.();
    }
  };

/** Gives the request's place to others while it just waits. */
export const leavePlace = (req: Request): void => leaves.get(req)?.();

/** Takes a place again. @throws {ServiceError} 503 when there is none */
export const takePlaceAgain = (req: Request): void => void leaves.set(req, takePlace());
