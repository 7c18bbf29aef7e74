import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import { Unauthenticated } from '../../lib/auth/auth-error.js';
import logger from '../../lib/logging.js';
import { isLocked, isMissingTable, isUnreachable } from '../../lib/errors/postgres-fault.js';
import { blank, type Problem, problemOf, retryAfterSeconds } from '../../lib/errors/problem.js';
import { ServiceError } from '../../lib/errors/service-error.js';
import { sendProblem } from '../answers/send-problem.js';
import { slowSearchAdvice } from './slow-search.js';

const TAG = 'http';

/** Whatever went wrong outside a job, as a problem. What is not the caller's fault is logged. */
export const errorHandler: ErrorRequestHandler = (error, req, res, next) => {
  const problem = outsideProblem(error, req);
  if (problem.status >= 500) logger.error(error, { tag: TAG, method: req.method, path: req.path });
  if (res.headersSent) return next(error);
  if (error instanceof Unauthenticated) res.set('WWW-Authenticate', error.challenge);
  if (problem.status === 503) res.set('Retry-After', String(retryAfterSeconds(error)));
  sendProblem(res, problem);
};

/** Express marks its own refusals of a request (a path that cannot be decoded, say) with a status. */
function outsideProblem(error: unknown, req: Pick<Request, 'method' | 'path'>): Problem {
  const status = error instanceof Error ? (error as Error & { status?: unknown }).status : undefined;
  if (error instanceof URIError) return { ...blank(400), detail: 'The address holds a percent sign that stands for nothing.' };
  if (status === 406) return { ...blank(406), detail: 'This comes as application/json only.' };
  if (isUnreachable(error)) return { ...blank(503), detail: 'The database does not answer. Send it again.' };
  // Somebody asks before the service is ready.
  if (isMissingTable(error)) return { ...blank(503), detail: 'The database is not migrated yet. Send it again.' };
  if (isLocked(error)) return { ...blank(503), detail: 'Somebody holds what this needs in the database. Send it again.' };
  const advice = slowSearchAdvice(error, req.method, req.path);
  if (advice !== undefined) return { ...blank(503), detail: advice };
  const problem = problemOf(error);
  return problem.status === 500 && !(error instanceof ServiceError) ? { ...problem, detail: 'The service failed. Its log says how.' } : problem;
}

/** Every address that is not in the route table. */
export const notFoundHandler: RequestHandler = (_req, res) => {
  sendProblem(res, { ...blank(404), detail: 'There is nothing at this address. GET /jobs lists the jobs.' });
};
