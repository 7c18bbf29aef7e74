import os from 'node:os';
import type { LoadedJob } from '../lib/job-module.js';
import type { Job } from '../lib/job-registry.js';
import { runJob } from '../lib/run-job.js';
import type { SourceTree } from '../lib/source-tree.js';
import type { FinishedRun } from '../models/run-lifecycle.js';
import { CliError } from './cli-error.js';
import { flagsOf, type JobFlag } from './job-flags.js';
import { jobHelp } from './job-help.js';
import { withDatabase } from './open-database.js';
import { findJob, loadFault, openJobs } from './open-jobs.js';
import { readableDuration } from './readable.js';
import { note, writeJson, writeResult } from './result-stream.js';
import { readRunArguments } from './run-arguments.js';
import { readRunBody } from './run-body.js';

/**
 * Runs a job through the one door, on the record like any other run: its log goes to stderr as it comes, its result to
 * stdout, and the exit code says whether it succeeded.
 */
export async function runCommand(source: SourceTree, slug: string, args: readonly string[]): Promise<void> {
  if (slug.startsWith('-')) throw new CliError(`the job's name comes first, before ${slug}: run <slug> [flags]`);
  const job = findJob(openJobs(source), slug);
  const known = await load(job);
  if ('fault' in known) return runBroken(source, job, known.fault, args);
  const flags = tryFlags(known.job);
  const asked = readRunArguments(args, flags);
  if (asked.isHelp) return writeResult(jobHelp(slug, known.job.config, flags));
  const body = await readRunBody(asked);
  await withDatabase(source, () => runAndReport(job, body));
}

async function load(job: Job): Promise<{ job: LoadedJob } | { fault: string }> {
  try {
    return { job: await job.load() };
  } catch (error) {
    return { fault: loadFault(error) };
  }
}

/** Undefined where the job exports no RequestBody, or one that this Zod cannot describe: another Zod's, as a rule. */
function tryFlags({ RequestBody }: LoadedJob): readonly JobFlag[] | undefined {
  try {
    return RequestBody && flagsOf(RequestBody);
  } catch {
    return undefined;
  }
}

/** A job that cannot be loaded is a failed run too, whatever its arguments; its flags are not known. */
async function runBroken(source: SourceTree, job: Job, fault: string, args: readonly string[]): Promise<void> {
  if (args.includes('--help')) throw new CliError(fault);
  await withDatabase(source, () => runAndReport(job, {}));
}

async function runAndReport(job: Job, body: unknown): Promise<void> {
  const started = performance.now();
  const run = await runJob(job, { trigger: 'cli', body, requestedBy: userName() });
  const took = readableDuration(performance.now() - started);
  // Only a delivery may have run elsewhere, and this is none.
  if ('elsewhere' in run) throw new Error(`run ${run.id} went elsewhere`);
  const hasSucceeded = report(run);
  note(`${run.recorded === 'recorded' ? run.outcome.status : 'unknown'} · run ${run.id} · ${took}`);
  process.exitCode = hasSucceeded ? 0 : 1;
}

/** @returns whether the run succeeded and is on record as that */
function report({ outcome, recorded }: FinishedRun): boolean {
  if (recorded !== 'recorded') {
    note('The outcome is unknown: the job ended, but that could not be recorded. Look at what it did before you run it again.');
    return false;
  }
  const { problem, text } = outcome;
  if (problem) {
    note(`${problem.status} ${problem.title}${problem.detail === undefined ? '' : `: ${problem.detail}`}`);
    if (problem.data !== undefined) note(`  ${JSON.stringify(problem.data)}`);
    for (const { path, message } of problem.errors ?? []) note(`  ${path || 'body'}: ${message}`);
  }
  if (text !== undefined) writeJson({ text });
  return outcome.status === 'succeeded';
}

/** Whoever runs this process; a user without a name (a container's, as a rule) by number. */
function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
