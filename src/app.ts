import express, { type Express } from 'express';
import { listJobsHandler, showJobHandler } from './handlers/catalogue-handlers.js';
import { errorHandler, notFoundHandler } from './handlers/error-handler.js';
import { healthzHandler, readyzHandler, type WhyNotReady } from './handlers/health-handlers.js';
import { legacyPath } from './handlers/legacy-path.js';
import { readBody } from './handlers/read-body.js';
import { rehearseHandler } from './handlers/rehearse-handler.js';
import { cancelRunHandler, resumeRunHandler, retryRunHandler } from './handlers/run-control-handlers.js';
import { runFailuresHandler } from './handlers/run-failures-handler.js';
import { listRunsHandler, showRunHandler } from './handlers/run-handlers.js';
import { runLogsHandler } from './handlers/run-logs-handler.js';
import { requireJob, scriptExecuteHandler } from './handlers/script-execute-handler.js';
import type { JobRegistry } from './lib/job-registry.js';

export interface AppParts {
  readonly registry: JobRegistry;
  /** Bytes of a request's body, after decompression. */
  readonly bodyLimit: number;
  readonly whyNotReady: WhyNotReady;
}

/** The service's HTTP interface: the table below is the whole of it. Nothing is started, and nothing listens. */
export function createApp({ registry, bodyLimit, whyNotReady }: AppParts): Express {
  const app = express();
  app.disable('x-powered-by');

  const run = [requireJob(registry), readBody(bodyLimit), scriptExecuteHandler(registry)];
  app.post('/jobs/:slug', run);
  app.post('/jobs/:slug/rehearse', requireJob(registry), readBody(bodyLimit), rehearseHandler(registry));
  app.post('/scripts/:slug', legacyPath, run);
  app.post('/cron/:slug', legacyPath, run);

  app.get('/jobs', listJobsHandler(registry));
  app.get('/jobs/:slug', showJobHandler(registry));

  app.get('/runs', listRunsHandler);
  app.get('/runs/:id', showRunHandler);
  app.get('/runs/:id/logs', runLogsHandler);
  app.get('/runs/:id/failures', runFailuresHandler);
  app.post('/runs/:id/cancel', cancelRunHandler);
  app.post('/runs/:id/retry', retryRunHandler(registry));
  app.post('/runs/:id/resume', resumeRunHandler(registry));

  app.get('/healthz', healthzHandler);
  app.get('/readyz', readyzHandler(whyNotReady));

  app.use(notFoundHandler);
  app.use(errorHandler);
  return app;
}
