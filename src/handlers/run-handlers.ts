import type { Request, RequestHandler, Response } from 'express';
import { ServiceError } from '../lib/errors/service-error.js';
import { isRunId } from '../runs/records/run-id.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import type { RunDetail } from '../runs/records/history.js';
import { filterQuery, readRunFilter } from './requests/run-query.js';
import { runJson } from '../runs/run-json.js';

/** GET /runs: the history, newest first, page by page (`Link: <...>; rel="next"`, RFC 8288). */
export const listRunsHandler: RequestHandler = async (req, res) => {
  const filter = readRunFilter(req.query);
  // One more than asked for tells whether there is a next page.
  const runs = await BatchJobRun.list({ ...filter, limit: filter.limit + 1 });
  const page = runs.slice(0, filter.limit);
  const last = page.at(-1);
  if (runs.length > page.length && last) linkNext(res, `/runs?${filterQuery(req.query, { before: last.id })}`);
  res.format({ json: () => res.json({ runs: page.map(runJson) }) });
};

/** GET /runs/:id: everything that is kept of one run. */
export const showRunHandler: RequestHandler = async (req, res) => {
  const run = await runOf(req);
  res.format({ json: () => res.json(runJson(run)) });
};

/** The run that the address names. @throws {ServiceError} 404 */
export async function runOf(req: Request): Promise<RunDetail> {
  const id = String(req.params.id);
  const run = isRunId(id) ? await BatchJobRun.find(id) : undefined;
  if (!run) throw new ServiceError(404, 'There is no run of that id. GET /runs lists them; old ones are pruned.');
  return run;
}

export const linkNext = (res: Response, address: string): void => void res.append('Link', `<${address}>; rel="next"`);
