import type { ErrorRequestHandler, Request } from 'express';
import { orUndefined } from '../../lib/errors/or-undefined.js';
import { Forbidden, Unauthenticated } from '../../lib/auth/auth-error.js';
import { isSlug } from '../../lib/job-files/registry.js';
import { isRunId } from '../../runs/records/run-id.js';
import { recordDenial } from '../../runs/records/audit-event.js';
import { requesterOf } from './authenticate-handler.js';

/** Keeps every refusal (401, 403) in the audit trail, and passes it on. */
export const auditDenials: ErrorRequestHandler = (error, req, _res, next) => {
  if (error instanceof Unauthenticated || error instanceof Forbidden) {
    recordDenial({ ...askedFor(req), ...requesterOf(req), status: error.status, reason: error.message });
  }
  next(error);
};

const ACTIONS = new Set(['rehearse', 'cancel', 'retry', 'resume']);

/** What a refused request asked for. Its address is not to be trusted: only what could be a job or a run is taken from it. */
function askedFor({ method, path }: Request): { action: string; jobName?: string; runId?: string } {
  const [, kind = '', encoded = '', verb = ''] = path.split('/');
  const name = orUndefined(() => decodeURIComponent(encoded)) ?? '';
  const action = method === 'GET' || method === 'HEAD' ? (kind === 'audit' ? 'audit' : 'read') : ACTIONS.has(verb) ? verb : 'run';
  if (kind === 'runs') return isRunId(name) ? { action, runId: name } : { action };
  return isSlug(name) ? { action, jobName: name } : { action };
}
