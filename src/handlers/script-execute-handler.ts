import type { Request, RequestHandler, Response } from 'express';
import { ServiceError } from '../lib/errors/service-error.js';
import { unreachable } from '../lib/errors/unreachable.js';
import type { Job, JobRegistry } from '../lib/job-files/registry.js';
import type { JobCall } from '../runs/job-call.js';
import { runJob } from '../runs/run-job.js';
import type { RunResult } from '../runs/run-result.js';
import { sendKeptRun } from './answers/send-kept-run.js';
import { sendRun } from './answers/send-run.js';
import { awaitDelivery } from './await-delivery.js';
import { requesterOf } from './middleware/authenticate-handler.js';
import { schedulerCall } from './requests/scheduler-call.js';
import { traceOf } from './requests/trace-of.js';

/** The job that the address names. @throws {ServiceError} 404 */
export function jobOf(registry: JobRegistry, req: Request): Job {
  const job = registry.find(String(req.params.slug));
  if (job) return job;
  const fault = registry.faults().find(({ name }) => name === req.params.slug);
  throw new ServiceError(404, fault?.reason ?? 'There is no job of that name. GET /jobs lists them. A job file that was added since the service started is served after a restart; npm run dev needs none.');
}

/** Refuses a job that there is not before its body is read. */
export const requireJob =
  (registry: JobRegistry): RequestHandler =>
  (req, _res, next) => {
    jobOf(registry, req);
    next();
  };

/** POST /jobs/:slug: runs the job, and answers when its outcome is recorded. */
export const scriptExecuteHandler =
  (registry: JobRegistry): RequestHandler =>
  async (req, res) => {
    const job = jobOf(registry, req);
    const call: JobCall = { trigger: 'http', body: req.body, by: requesterOf(req), action: 'run', request: req, trace: traceOf(req), ...schedulerCall(req, job.slug) };
    const run = () => runJob(job, call);
    await answer(req, res, await run(), run);
  };

async function answer(req: Request, res: Response, result: RunResult, again: () => Promise<RunResult>): Promise<void> {
  switch (result.kind) {
    case 'finished':
      return sendRun(res, result);
    case 'skipped':
      return sendKeptRun(res, { ...result, status: 'skipped' });
    case 'elsewhere': {
      const after = await awaitDelivery(req, res, result.id, again);
      return after && answer(req, res, after, again);
    }
    default:
      return unreachable(result);
  }
}
