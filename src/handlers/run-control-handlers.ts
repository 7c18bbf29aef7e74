import type { Request, RequestHandler } from 'express';
import type { JobRegistry } from '../lib/job-files/registry.js';
import { hasEndedWithin } from '../runs/until-ended.js';
import { restartRun } from '../runs/restart-run.js';
import { whyNotCancelled } from '../runs/records/run-refusals.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { recordAuditEvent } from '../runs/records/audit-event.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { runJson } from '../runs/run-json.js';
import { requesterOf } from './middleware/authenticate-handler.js';
import { runOf } from './run-handlers.js';
import { nameRun, sendRun } from './answers/send-run.js';
import { traceOf } from './requests/trace-of.js';

/** A caller waits so long for the run's end. */
const LONGEST_WAIT_MS = 3_000;

/**
 * POST /runs/:id/cancel: asks the run to stop, whichever replica has it. 200 with the run once it has ended, 202 when it
 * takes longer than a moment, 409 when it had ended before.
 */
export const cancelRunHandler: RequestHandler = async (req, res) => {
  const { id, jobName } = await runOf(req);
  const by = requesterOf(req);
  await recordAuditEvent({ ...by, action: 'cancel', outcome: 'allowed', runId: id, jobName });
  nameRun(res, id);
  if (!(await BatchJobRun.cancel(id, by.name))) throw new ServiceError(409, whyNotCancelled(await runOf(req)));
  const hasEnded = await hasEndedWithin(id, LONGEST_WAIT_MS);
  const run = await BatchJobRun.find(id);
  res.status(hasEnded ? 200 : 202).json(run && runJson(run));
};

/** POST /runs/:id/resume: goes on from the run's cursor, and answers as the job's own address does. */
export const resumeRunHandler =
  (registry: JobRegistry): RequestHandler =>
  async (req, res) => {
    const { id } = await runOf(req);
    nameRun(res, id);
    sendRun(res, await restartRun(registry, id, { mode: 'resume', ...askedBy(req) }));
  };

/** POST /runs/:id/retry: begins anew with the same body; with `?only=failed` the job gets just the keys that failed. */
export const retryRunHandler =
  (registry: JobRegistry): RequestHandler =>
  async (req, res) => {
    const { id } = await runOf(req);
    nameRun(res, id);
    const { only } = req.query;
    if (only !== undefined && only !== 'failed') {
      throw new ServiceError(400, 'The query does not fit.', { errors: [{ path: 'only', message: 'takes failed, or is left out' }] });
    }
    sendRun(res, await restartRun(registry, id, { mode: 'retry', onlyFailed: only === 'failed', ...askedBy(req) }));
  };

/** Who asks, and the body that came along: none, as a rule, since the run has its own. */
const askedBy = (req: Request) => ({ by: requesterOf(req), trace: traceOf(req), body: isNothing(req.body) ? undefined : (req.body as unknown) });

const isNothing = (body: unknown): boolean => typeof body === 'object' && body !== null && !Array.isArray(body) && Object.keys(body).length === 0;
