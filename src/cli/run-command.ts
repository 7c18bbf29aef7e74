import type { LoadedJob } from '../lib/job-files/module.js';
import type { Job } from '../lib/job-files/registry.js';
import { loadFault } from '../lib/job-files/load-fault.js';
import { runJob } from '../runs/run-job.js';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { terminalUser } from './terminal-user.js';
import { CliError } from './cli-error.js';
import { flagsOf, type JobFlag } from './job-flags.js';
import { jobHelp } from './job-help.js';
import { findJob, openJobs } from './open-jobs.js';
import { reportRun } from './report-run.js';
import { writeResult } from './result-stream.js';
import { readRunArguments } from './run-arguments.js';
import { readRunBody } from './read-body-argument.js';
import { withLiveRuns } from './with-live-runs.js';

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
  await withLiveRuns(source, () => reportRun(() => runJob(job, { trigger: 'cli', body, by: terminalUser(), action: 'run' })));
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
  await withLiveRuns(source, () => reportRun(() => runJob(job, { trigger: 'cli', body: {}, by: terminalUser(), action: 'run' })));
}
