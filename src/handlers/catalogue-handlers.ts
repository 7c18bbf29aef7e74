import type { RequestHandler } from 'express';
import { z } from 'zod';
import { describeError } from '../lib/error-description.js';
import type { Job, JobRegistry } from '../lib/job-registry.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { runJson } from '../models/run-json.js';
import { jobOf } from './script-execute-handler.js';

/** GET /jobs: every job, those that cannot be loaded too, each with its newest run. */
export const listJobsHandler =
  (registry: JobRegistry): RequestHandler =>
  async (_req, res) => {
    const jobs = registry.list();
    const [described, newest] = await Promise.all([
      Promise.all(jobs.map(describe)),
      BatchJobRun.newestByJob(jobs.map(({ slug }) => slug)),
    ]);
    const withRuns = described.map((job) => ({ ...job, newestRun: summary(newest.get(job.slug)) }));
    const faults = registry.faults().map(({ name, reason }) => ({ slug: name, status: 'broken', error: reason }));
    const known = new Set(jobs.map(({ slug }) => slug));
    res.format({ json: () => res.json({ jobs: [...withRuns, ...faults.filter(({ slug }) => !known.has(slug))] }) });
  };

/** GET /jobs/:slug: one job with the schema of its body and its newest runs. */
export const showJobHandler =
  (registry: JobRegistry): RequestHandler =>
  async (req, res) => {
    const job = jobOf(registry, req);
    const [described, runs] = await Promise.all([describe(job), BatchJobRun.list({ jobName: job.slug, limit: 10 })]);
    const schema = await bodySchema(job);
    res.format({ json: () => res.json({ ...described, requestBody: schema, runs: runs.map(runJson) }) });
  };

interface JobDescription {
  readonly slug: string;
  readonly status: 'ok' | 'broken';
  readonly description?: string | undefined;
  readonly timeout?: string | undefined;
  readonly error?: string;
}

async function describe(job: Job): Promise<JobDescription> {
  try {
    const { config } = await job.load();
    return { slug: job.slug, status: 'ok', description: config.description, timeout: config.timeout };
  } catch (error) {
    return { slug: job.slug, status: 'broken', error: describeError(error).message };
  }
}

/** The body's JSON Schema, as a caller writes it; null where the job has none, or is broken. */
async function bodySchema(job: Job): Promise<unknown> {
  try {
    const { RequestBody } = await job.load();
    return RequestBody ? z.toJSONSchema(RequestBody, { io: 'input', unrepresentable: 'any' }) : null;
  } catch {
    return null; // `describe` has said that, and why, the job is broken.
  }
}

const summary = (run: Parameters<typeof runJson>[0] | undefined) => (run ? runJson(run) : null);
