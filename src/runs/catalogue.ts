import { setTimeout as delay } from 'node:timers/promises';
import type { JobConfig } from '../jobs/helpers.js';
import { nextTime } from '../lib/job-files/config.js';
import type { Job, JobRegistry } from '../lib/job-files/registry.js';
import type { LoadedJob } from '../lib/job-files/module.js';
import { loadFault, loadFaultForViewers } from '../lib/job-files/load-fault.js';
import { newestRuns, type RunSummary } from './records/history.js';

/** A job as the catalogue shows it. */
export interface ListedJob {
  readonly slug: string;
  /** `loading`: its file has not finished loading yet, or never will. */
  readonly status: 'ok' | 'broken' | 'loading';
  readonly description?: string | undefined;
  /** What its config says, but for the description. */
  readonly settings?: Omit<JobConfig, 'description'> & { readonly nextTime?: Date | undefined };
  /** What is wrong with it, naming its file by its whole path; for the terminal. */
  readonly fault?: string;
  /** The same without folders, and without anything that the file itself says. */
  readonly faultForViewers?: string;
  /** What loading it threw. */
  readonly thrown?: unknown;
  readonly loaded?: LoadedJob;
}

/**
 * Every job by name, those that cannot be loaded too, each with its newest run.
 * @param waitMs how long, for all of them together, the files that are still loading are waited for
 */
export async function catalogue(registry: JobRegistry, waitMs: number): Promise<(ListedJob & { newestRun: RunSummary | undefined })[]> {
  const faults = registry.faults();
  const faulty = new Set(faults.map(({ name }) => name));
  const sound = registry.list().filter(({ slug }) => !faulty.has(slug));
  const broken = faults.map(({ name, reason }): ListedJob => ({ slug: name, status: 'broken', fault: reason, faultForViewers: reason }));
  const jobs = [...(await describeJobs(sound, waitMs)), ...broken].toSorted((a, b) => (a.slug < b.slug ? -1 : 1));
  const newest = await newestRuns(jobs.map(({ slug }) => slug));
  return jobs.map((job) => ({ ...job, newestRun: newest.get(job.slug) }));
}

/** What the jobs say of themselves; `loading` are those that have not said it after `waitMs`. */
export async function describeJobs(jobs: readonly Job[], waitMs: number): Promise<ListedJob[]> {
  const found = new Map<string, ListedJob>();
  const enough = new AbortController();
  const describing = jobs.map(async (job) => void found.set(job.slug, await describe(job)));
  await Promise.race([Promise.all(describing), delay(waitMs, undefined, { signal: enough.signal }).catch(() => undefined)]);
  enough.abort();
  return jobs.map(({ slug }) => found.get(slug) ?? { slug, status: 'loading', fault: STILL_LOADING, faultForViewers: STILL_LOADING });
}

const STILL_LOADING = 'It has not finished loading. Does it await something at its top level?';

/** Never rejects. */
async function describe(job: Job): Promise<ListedJob> {
  const { slug } = job;
  try {
    const loaded = await job.load();
    const { description, ...config } = loaded.config;
    return { slug, status: 'ok', description, settings: { ...config, nextTime: (config.schedule && nextTime(config.schedule)) ?? undefined }, loaded };
  } catch (thrown) {
    const fault = loadFault(thrown);
    if (isStillLoading(thrown)) return { slug, status: 'loading', fault, faultForViewers: STILL_LOADING, thrown };
    return { slug, status: 'broken', fault, faultForViewers: loadFaultForViewers(thrown, job.file), thrown };
  }
}

/** The registry's 504. */
const isStillLoading = (thrown: unknown): boolean => (thrown as { status?: unknown } | null)?.status === 504;
