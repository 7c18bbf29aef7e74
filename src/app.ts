import express, { type Express, type RequestHandler } from 'express';
import { admissionHandler, inPlace, type WhyFull } from './handlers/middleware/admission-handler.js';
import { auditDenials } from './handlers/middleware/audit-denials.js';
import { auditHandler } from './handlers/audit-handler.js';
import { authenticateHandler, may } from './handlers/middleware/authenticate-handler.js';
import { listJobsHandler, showJobHandler } from './handlers/catalogue-handlers.js';
import { dryRunQueryHandler } from './handlers/middleware/dry-run-query-handler.js';
import { errorHandler, notFoundHandler } from './handlers/middleware/error-handler.js';
import { healthzHandler, readyzHandler, type WhyNotReady } from './handlers/health-handlers.js';
import { legacyPath } from './handlers/middleware/legacy-path.js';
import { ownHostHandler } from './handlers/middleware/own-host-handler.js';
import { plainAddressHandler } from './handlers/middleware/plain-address-handler.js';
import { rateLimitHandler } from './handlers/middleware/rate-limit-handler.js';
import { awaitTurn, readBody, withBody } from './handlers/middleware/read-body.js';
import { rehearseHandler } from './handlers/rehearse-handler.js';
import { cancelRunHandler, resumeRunHandler, retryRunHandler } from './handlers/run-control-handlers.js';
import { runFailuresHandler } from './handlers/run-failures-handler.js';
import { listRunsHandler, showRunHandler } from './handlers/run-handlers.js';
import { runLogsHandler } from './handlers/run-logs-handler.js';
import { sameSiteHandler } from './handlers/middleware/same-site-handler.js';
import { requireJob, scriptExecuteHandler } from './handlers/script-execute-handler.js';
import { securityHeaders } from './handlers/middleware/security-headers.js';
import type { Authenticator } from './lib/auth/authenticator.js';
import type { RateLimit } from './lib/auth/rate-limit.js';
import type { JobRegistry } from './lib/job-files/registry.js';

export interface AppParts {
  readonly registry: JobRegistry;
  /** Bytes of a request's body, after decompression. */
  readonly bodyLimit: number;
  readonly whyNotReady: WhyNotReady;
  readonly authenticate: Authenticator;
  /** Only this machine reaches the service. */
  readonly isLocal: boolean;
  readonly whyFull: WhyFull;
  /** None by default. */
  readonly rateLimit?: RateLimit | undefined;
  /** Proxies in front whose X-Forwarded-For is believed. */
  readonly trustedProxies: number;
}

/** The service's HTTP interface: the table below is the whole of it. Nothing is started, and nothing listens. */
export function createApp({ registry, bodyLimit, whyNotReady, authenticate, isLocal, whyFull, rateLimit, trustedProxies }: AppParts): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', trustedProxies);
  // A proxy's rule for an address, and the audit trail, see it as the routes do.
  app.enable('case sensitive routing');
  app.use(securityHeaders());
  app.use(plainAddressHandler);
  if (isLocal) app.use(ownHostHandler);

  app.get('/healthz', healthzHandler);
  app.get('/readyz', readyzHandler(whyNotReady));

  // From here on it is known who calls, before a byte of the body is read.
  app.use(sameSiteHandler);
  app.use(authenticateHandler(authenticate));
  if (rateLimit) app.use(rateLimitHandler(rateLimit));

  const admit = admissionHandler(whyFull);
  // Whatever starts a run passes these, in this order: cheap refusals first, and the body is read last.
  const starts = (handler: RequestHandler, ...before: RequestHandler[]): RequestHandler[] =>
    [may('run'), dryRunQueryHandler, admit, ...before, readBody(bodyLimit), awaitTurn, inPlace(withBody(handler))];
  const isJob = requireJob(registry);
  const run = starts(scriptExecuteHandler(registry), isJob);
  app.post('/jobs/:slug', run);
  app.post('/jobs/:slug/rehearse', starts(rehearseHandler(registry), isJob));
  app.post('/scripts/:slug', legacyPath, run);
  app.post('/cron/:slug', legacyPath, run);

  app.get('/jobs', may('read'), listJobsHandler(registry));
  app.get('/jobs/:slug', may('read'), showJobHandler(registry));

  app.get('/audit', may('audit'), auditHandler);

  app.get('/runs', may('read'), listRunsHandler);
  app.get('/runs/:id', may('read'), showRunHandler);
  app.get('/runs/:id/logs', may('read'), runLogsHandler);
  app.get('/runs/:id/failures', may('read'), runFailuresHandler);
  app.post('/runs/:id/cancel', may('run'), cancelRunHandler);
  app.post('/runs/:id/retry', starts(retryRunHandler(registry)));
  app.post('/runs/:id/resume', starts(resumeRunHandler(registry)));

  app.use(notFoundHandler);
  app.use(auditDenials);
  app.use(errorHandler);
  return app;
}
