import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { cannotBeLoaded, loadJob, type LoadedJob } from './module.js';
import { ServiceError } from '../errors/service-error.js';

/** `^[a-z0-9]+(-[a-z0-9]+)*$`, 100 characters at most. */
export const isSlug = (text: string): boolean => text.length <= 100 && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(text);

export interface Job {
  readonly slug: string;
  readonly file: string;
  /**
   * The job's module, imported at the first call and checked; at once when it was loaded before.
   * @throws {ServiceError} when it cannot be loaded
   */
  load(): LoadedJob | Promise<LoadedJob>;
}

export interface JobRegistry {
  /** The job of that name, or undefined. Nothing is imported. */
  find(slug: string): Job | undefined;
  /** Every job, by name. */
  list(): readonly Job[];
  /** Files of the folder that look like jobs and cannot be ones, each with the reason and the mend. */
  faults(): readonly JobFault[];
}

export interface JobFault {
  readonly name: string;
  readonly reason: string;
}

export interface JobFolder {
  /** Absolute. */
  readonly folder: string;
  /** How a file is imported: the entry files know, since Node and Jest differ in it. */
  readonly importFile: (file: string) => Promise<unknown>;
  /** ms that a file may take to load. */
  readonly loadTimeoutMs: number;
  /** Read the folder at every call, and a file anew whenever it has changed. For development. */
  readonly isLive?: boolean;
}

/** What stands in the folder of jobs and is none. */
const NO_JOBS = /^helpers\.|\.d\.[cm]?ts$|\.(spec|test)\.[^.]+$|\.map$/;
const JOB_FILE = /^(.+)\.[cm]?[jt]s$/;

/**
 * The jobs of a folder. The folder is listed once, and a slug is looked up in what was found, never joined to a path; no
 * file is opened before its job is called, so that a thousand of them cost what ten do.
 */
export function createJobRegistry(source: JobFolder): JobRegistry {
  const jobs = new Map<string, Job>();
  let listing = readListing(source.folder);

  const current = () => (source.isLive ? (listing = readListing(source.folder)) : listing);
  const jobOf = (slug: string, file: string): Job => {
    let job = jobs.get(slug);
    if (job?.file !== file) {
      job = { slug, file, load: loader(path.join(source.folder, file), source) };
      jobs.set(slug, job);
    }
    const double = listing.faults.find(({ name }) => name === slug);
    return double ? { slug, file, load: () => Promise.reject(cannotBeLoaded(double.reason)) } : job;
  };

  return {
    find(slug) {
      const file = current().files.get(slug);
      return file === undefined ? undefined : jobOf(slug, file);
    },
    list: () => [...current().files].map(([slug, file]) => jobOf(slug, file)),
    faults: () => current().faults,
  };
}

interface Loading {
  /** When the file was changed last. */
  readonly version: number;
  readonly job: Promise<LoadedJob>;
  loaded?: LoadedJob;
  /** It has had its time once: nobody waits for it again. */
  hasTimedOut?: boolean;
}

/** Loads once and remembers it, a load that hangs too, which is served if it ends after all; a live file is loaded again when its time of change differs. */
function loader(file: string, source: JobFolder): Job['load'] {
  let loading: Loading | undefined;
  return () => {
    const version = source.isLive ? statSync(file).mtimeMs : 0;
    if (loading?.version !== version) loading = startLoading(file, version, source);
    return loading.loaded ?? withinTime(loading, file, source.loadTimeoutMs);
  };
}

function startLoading(file: string, version: number, { importFile }: JobFolder): Loading {
  const loading: Loading = { version, job: loadJob(file, importFile(file)) };
  loading.job.then((job) => (loading.loaded = job), () => undefined); // Whoever called load() hears of the failure.
  return loading;
}

/** A file whose import hangs (a top-level await) is waited for but once; from then on for no longer than what is there already takes to be seen. */
async function withinTime(loading: Loading, file: string, timeoutMs: number): Promise<LoadedJob> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      loading.hasTimedOut = true;
      const cause = new Error(`${file} did not finish loading in ${timeoutMs} ms. Does it await something at its top level?`);
      reject(new ServiceError(504, 'The job did not load in time. The log names its file.', { cause }));
    }, loading.hasTimedOut ? 0 : timeoutMs);
  });
  return Promise.race([loading.job, timeout]).finally(() => clearTimeout(timer));
}

interface Listing {
  readonly files: ReadonlyMap<string, string>;
  readonly faults: readonly JobFault[];
}

function readListing(folder: string): Listing {
  const files = new Map<string, string>();
  const faults: JobFault[] = [];
  for (const { file, name } of jobFiles(folder)) {
    const other = files.get(name);
    if (!isSlug(name)) {
      faults.push({ name, reason: `${file} is no job: a job's file name is kebab-case (a-z, 0-9 and single hyphens), 100 characters at most. Rename it, or move it to helpers/.` });
    } else if (other !== undefined) {
      faults.push({ name, reason: `${other} and ${file} are both the job ${name}. Remove one of them.` });
    } else files.set(name, file);
  }
  return { files, faults };
}

function jobFiles(folder: string): { file: string; name: string }[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !NO_JOBS.test(entry.name))
    .map(({ name: file }) => ({ file, name: JOB_FILE.exec(file)?.[1] ?? '' }))
    .filter(({ name }) => name !== '')
    .toSorted((a, b) => (a.file < b.file ? -1 : 1));
}
