import type { RequestHandler } from 'express';
import { BatchJobRun } from '../models/batch-job-run.js';
import { failuresCsv } from '../runs/failures-csv.js';
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
    'text/csv': () => void res.send(failuresCsv(failures)),
  });
};
