import type { Job } from '../lib/job-registry.js';
import type { SourceTree } from '../lib/source-tree.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import type { RunSummary } from '../models/run-history.js';
import { withDatabase } from './open-database.js';
import { loadFault, openJobs } from './open-jobs.js';
import { readableTime, table } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';
import { runJson } from '../models/run-json.js';

interface ListedJob {
  readonly slug: string;
  readonly status: 'ok' | 'broken';
  readonly description?: string | undefined;
  readonly error?: string;
}

/** Prints every job, those that cannot be loaded too, each with its newest run. */
export async function listCommand(source: SourceTree, { json }: { json?: boolean }): Promise<void> {
  const registry = openJobs(source);
  const found = await Promise.all(registry.list().map(describe));
  const known = new Set(found.map(({ slug }) => slug));
  const faults = registry.faults().filter(({ name }) => !known.has(name));
  const broken = faults.map(({ name, reason }): ListedJob => ({ slug: name, status: 'broken', error: reason }));
  const jobs = [...found, ...broken].toSorted((a, b) => (a.slug < b.slug ? -1 : 1));
  const newest = await withDatabase(source, async () => {
    await BatchJobRun.markLost();
    return BatchJobRun.newestByJob(jobs.map(({ slug }) => slug));
  });
  if (json) {
    writeJson({ value: jobs.map((job) => ({ ...job, newestRun: runOrNull(newest.get(job.slug)) })) });
  } else {
    const rows = jobs.map((job) => [job.slug, job.status, newestRun(newest.get(job.slug)), job.error ?? job.description ?? '']);
    writeResult(table(['JOB', 'STATUS', 'NEWEST RUN', 'DESCRIPTION'], rows));
  }
}

async function describe(job: Job): Promise<ListedJob> {
  try {
    const { config } = await job.load();
    return { slug: job.slug, status: 'ok', description: config.description };
  } catch (error) {
    return { slug: job.slug, status: 'broken', error: loadFault(error) };
  }
}

const runOrNull = (run: RunSummary | undefined) => (run ? runJson(run) : null);

function newestRun(run: RunSummary | undefined): string {
  if (!run) return '-';
  const when = run.startedAt ?? run.queuedAt;
  return when ? `${run.status} ${readableTime(when)}` : run.status;
}
