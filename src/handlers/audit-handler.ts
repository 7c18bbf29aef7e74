import type { RequestHandler } from 'express';
import { isRunId } from '../runs/records/run-id.js';
import { type FieldError, ServiceError } from '../lib/errors/service-error.js';
import { listAuditEvents, recordAuditEvent } from '../runs/records/audit-event.js';
import { readLimit, TAKES } from '../runs/run-filter.js';
import { originOf } from './middleware/authenticate-handler.js';
import { filterQuery } from './requests/run-query.js';
import { linkNext } from './run-handlers.js';

const DEFAULT_LIMIT = 100;
const isText = (text: string): boolean => text.length <= 254 && !text.includes('\0');

/** Each filter with what it takes. */
const FILTERS: Readonly<Record<string, { readonly fits: (text: string) => boolean; readonly takes: string }>> = {
  caller: { fits: isText, takes: 'an e-mail' },
  action: { fits: isText, takes: 'run, rehearse, cancel, retry, resume, read or audit' },
  outcome: { fits: (text) => text === 'allowed' || text === 'denied', takes: 'allowed or denied' },
  run: { fits: isRunId, takes: "a run's id" },
  before: { fits: isRunId, takes: "an entry's id" },
  limit: { fits: (text) => readLimit(text) !== undefined, takes: TAKES.limit },
};

/** GET /audit: who did what and who was refused, newest first, page by page. Whoever reads it is in it. */
export const auditHandler: RequestHandler = async (req, res) => {
  const errors = Object.entries(req.query).flatMap(([path, text]): FieldError[] => {
    const filter = FILTERS[path];
    if (!filter) return [{ path, message: `is no filter: there are ${Object.keys(FILTERS).join(', ')}` }];
    return typeof text === 'string' && filter.fits(text) ? [] : [{ path, message: `takes ${filter.takes}` }];
  });
  if (errors.length > 0) throw new ServiceError(400, 'The filter does not fit.', { errors });
  const { caller, action, outcome, run: runId, before, limit } = req.query as Record<string, string | undefined>;
  await recordAuditEvent({ ...originOf(req), action: 'audit', outcome: 'allowed' });
  const most = (limit === undefined ? undefined : readLimit(limit)) ?? DEFAULT_LIMIT;
  const events = await listAuditEvents({ caller: caller?.toLowerCase(), action, outcome, runId, before, limit: most + 1 });
  const page = events.slice(0, most);
  if (events.length > most) linkNext(res, `/audit?${filterQuery(req.query, { before: page.at(-1)!.id })}`);
  res.format({ json: () => res.json({ events: page }) });
};
