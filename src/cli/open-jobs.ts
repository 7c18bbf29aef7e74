import { createJobRegistry, type Job, type JobRegistry } from '../lib/job-files/registry.js';
import { jobFolderOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';

/** The server's own jobs. @throws {CliError} when their folder cannot be read */
export function openJobs(source: SourceTree): JobRegistry {
  try {
    return createJobRegistry(jobFolderOf(source));
  } catch (error) {
    throw new CliError(`the folder of the jobs cannot be read: ${(error as Error).message}`);
  }
}

/** @throws {CliError} when there is no job of that name */
export function findJob(jobs: JobRegistry, slug: string): Job {
  const job = jobs.find(slug);
  if (job) return job;
  const fault = jobs.faults().find(({ name }) => name === slug);
  throw new CliError(fault?.reason ?? `there is no job ${JSON.stringify(slug)}. ${jobNames(jobs)}`);
}

const MOST_NAMES = 50;

function jobNames(jobs: JobRegistry): string {
  const names = jobs.list().map(({ slug }) => slug);
  const shown = names.slice(0, MOST_NAMES).join(', ');
  return names.length > MOST_NAMES ? `Some of the ${names.length} there are: ${shown}, ... (see: list)` : `There are: ${shown || 'none'}`;
}
