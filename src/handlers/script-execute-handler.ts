import type { Request, RequestHandler, Response } from 'express';
import type { Job, JobRegistry } from '../lib/job-files/registry.js';
import { type JobCall, runJob } from '../runs/run-job.js';
import { ServiceError } from '../lib/errors/service-error.js';
import type { FinishedRun, RunElsewhere } from '../runs/run-lifecycle.js';
import { callerOf, originOf } from './middleware/authenticate-handler.js';
import { schedulerCall } from './requests/scheduler-call.js';
import { sendRun } from './answers/send-run.js';
import { beginWait, sendRunElsewhere } from './send-run-elsewhere.js';
import { traceOf } from './requests/trace-of.js';

/** The job that the address names. @throws {ServiceError} 404 */
export function jobOf(registry: JobRegistry, req: Request): Job {
  const job = registry.find(String(req.params.slug));
  if (job) return job;
  const fault = registry.faults().find(({ name }) => name === req.params.slug);
  throw new ServiceError(404, fault?.reason ?? 'There is no job of that name. GET /jobs lists them.');
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
    const call: JobCall = {
      trigger: 'http',
      body: req.body,
      requestedBy: callerOf(req).email,
      caller: callerOf(req),
      audit: { action: 'run', ...originOf(req) },
      request: req,
      trace: traceOf(req),
      ...schedulerCall(req, job.slug),
    };
    const run = await runJob(job, call);
    if ('elsewhere' in run) await runOrFindOut(req, res, run, () => runJob(job, call));
    else sendRun(res, run);
  };

/** Answers a delivery whose run is elsewhere: with that run's outcome, or, once that run is lost, by running it here. */
async function runOrFindOut(req: Request, res: Response, first: RunElsewhere, run: () => Promise<FinishedRun | RunElsewhere>): Promise<void> {
  const wait = beginWait(res);
  try {
    // Of several that wait for a run that is lost, one claims it; the others wait on.
    for (let elsewhere = first; (await sendRunElsewhere(req, res, elsewhere.id, wait)) === 'lost'; ) {
      const outcome = await run();
      if (!('elsewhere' in outcome)) return sendRun(res, outcome);
      elsewhere = outcome;
    }
  } finally {
    wait.end();
  }
}
