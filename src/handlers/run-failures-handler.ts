import type { RequestHandler } from 'express';
import { csvLine } from '../lib/csv.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { runOf } from './run-handlers.js';

/**
 * GET /runs/:id/failures: the items that the run's newest attempt could not process, as JSON, with the kinds of failure by
 * their number, or as CSV (Accept: text/csv).
 */
export const runFailuresHandler: RequestHandler = async (req, res) => {
  const { id } = await runOf(req);
  const [failures, groups] = await Promise.all([BatchJobRun.listFailures(id), BatchJobRun.groupFailures(id)]);
  res.format({
    json: () => res.json({ groups, failures }),
    'text/csv': () => {
      const rows = failures.map(({ key, message, fingerprint, at }) => csvLine([JSON.stringify(key), message, fingerprint, at.toISOString()]));
      res.send([csvLine(['key', 'message', 'fingerprint', 'at']), ...rows].join(''));
    },
  });
};
