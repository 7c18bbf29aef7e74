import type { RequestHandler } from 'express';
import type { JobRegistry } from '../lib/job-files/registry.js';
import { rehearse } from '../runs/rehearse.js';
import { callerOf, originOf } from './middleware/authenticate-handler.js';
import { jobOf } from './script-execute-handler.js';
import { traceOf } from './requests/trace-of.js';

/**
 * POST /jobs/:slug/rehearse: dry run, real run, second run that must write nothing, in one go; answers 200 with the report,
 * or 422 with it when a verdict is `failed`.
 */
export const rehearseHandler =
  (registry: JobRegistry): RequestHandler =>
  async (req, res) => {
    const call = { trigger: 'http', body: req.body as unknown, trace: traceOf(req), requestedBy: callerOf(req).email, caller: callerOf(req), audit: { action: 'rehearse', ...originOf(req) } } as const;
    const report = await rehearse(jobOf(registry, req), call, async () => true);
    res.status(report.verdict === 'failed' ? 422 : 200).json(report);
  };
