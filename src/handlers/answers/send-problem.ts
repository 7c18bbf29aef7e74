import type { Response } from 'express';
import type { Problem } from '../../lib/errors/problem.js';

/** Answers with a problem (RFC 9457). */
export function sendProblem(res: Response, problem: Problem): void {
  res.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
}
