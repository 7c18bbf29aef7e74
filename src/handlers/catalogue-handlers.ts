import type { RequestHandler } from 'express';
import { z } from 'zod';
import type { LoadedJob } from '../lib/job-files/module.js';
import type { JobRegistry } from '../lib/job-files/registry.js';
import logger from '../lib/logging.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { catalogue, describeJobs, type ListedJob } from '../runs/catalogue.js';
import { runJson } from '../runs/run-json.js';
import { jobOf } from './script-execute-handler.js';

const TAG = 'catalogue';
/** For all the files that are still loading together. */
const LOAD_WAIT_MS = 2_000;

/** GET /jobs: every job, those that cannot be loaded too, each with its newest run. */
export const listJobsHandler = (registry: JobRegistry): RequestHandler => {
  const logFault = faultLog();
  return async (_req, res) => {
    const jobs = await catalogue(registry, LOAD_WAIT_MS);
    jobs.forEach(logFault);
    const shown = jobs.map(({ newestRun, ...job }) => ({ ...jobJson(job), newestRun: newestRun ? runJson(newestRun) : null }));
    res.format({ json: () => res.json({ jobs: shown }) });
  };
};

/** GET /jobs/:slug: one job with the schema of its body and its newest runs. */
export const showJobHandler = (registry: JobRegistry): RequestHandler => {
  const logFault = faultLog();
  return async (req, res) => {
    const job = jobOf(registry, req);
    const [described, runs] = await Promise.all([describeJobs([job], LOAD_WAIT_MS), BatchJobRun.list({ jobName: job.slug, limit: 10 })]);
    const shown = described.map((listed) => {
      logFault(listed);
      return { ...jobJson(listed), requestBody: bodySchema(listed.loaded) };
    });
    res.format({ json: () => res.json({ ...shown[0], runs: runs.map(runJson) }) });
  };
};

const jobJson = ({ slug, status, description, settings, faultForViewers }: ListedJob) => ({
  slug, status, description, ...settings, ...(faultForViewers !== undefined && { error: faultForViewers }),
});

/** Logs why a job is broken, once: as long as its file stays the same, loading it throws the same error. */
function faultLog(): (job: ListedJob) => void {
  const logged = new WeakSet<object>();
  return ({ slug, status, thrown }) => {
    if (status !== 'broken' || typeof thrown !== 'object' || thrown === null || logged.has(thrown)) return;
    logged.add(thrown);
    logger.error(thrown, { tag: TAG, jobName: slug });
  };
}

/** The body's JSON Schema, as a caller writes it; null where the job has none, is broken, or has one that JSON Schema cannot say. */
function bodySchema(loaded: LoadedJob | undefined): unknown {
  if (!loaded?.RequestBody) return null;
  try {
    return z.toJSONSchema(loaded.RequestBody, { io: 'input', unrepresentable: 'any' });
  } catch {
    return null;
  }
}
