import { createInterface } from 'node:readline/promises';
import { rehearse, type RehearsalReport, type RehearsalStep } from '../runs/rehearse.js';
import type { SourceTree } from '../lib/job-files/source-tree.js';
import { terminalUser } from './terminal-user.js';
import { CliError } from './cli-error.js';
import { flagsOf } from './job-flags.js';
import { findJob, openJobs } from './open-jobs.js';
import { table } from './readable.js';
import { note, writeResult } from './result-stream.js';
import { readRunArguments } from './run-arguments.js';
import { readRunBody } from './read-body-argument.js';
import { withLiveRuns } from './with-live-runs.js';

/**
 * Rehearses a job: a dry run, the real run once that was agreed to, and a second run that must write nothing. The report
 * goes to stdout; exit code 1 when a verdict fails, or when it was stopped.
 * @param isAgreed not to ask
 */
export async function rehearseCommand(source: SourceTree, slug: string, args: readonly string[], isAgreed: boolean): Promise<void> {
  const job = findJob(openJobs(source), slug);
  const { RequestBody } = await job.load();
  const asked = readRunArguments(args, RequestBody && flagsOf(RequestBody));
  if (asked.isHelp) throw new CliError(`rehearse takes the flags of: run ${slug} --help`);
  if (!isAgreed && !process.stdin.isTTY) throw new CliError('there is nobody to ask whether the real run may follow: give --yes, or run it in a terminal');
  const body = await readRunBody(asked);
  await withLiveRuns(source, async () => {
    const call = { trigger: 'cli', body, by: terminalUser(), action: 'rehearse' } as const;
    const report = await rehearse(job, call, async (dryRun) => isAgreed || askForRealRun(dryRun));
    writeResult(rehearsalTable(report));
    process.exitCode = report.verdict === 'failed' || report.verdict === 'stopped' ? 1 : 0;
  });
}

async function askForRealRun(dryRun: RehearsalStep): Promise<boolean> {
  note(stepsTable([dryRun]).trimEnd());
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question('Do the real run now? [y/N] ')).trim());
  } finally {
    terminal.close();
  }
}

const rehearsalTable = ({ verdict, steps }: RehearsalReport): string => `${stepsTable(steps)}rehearsal: ${verdict}\n`;

const stepsTable = (steps: readonly RehearsalStep[]): string =>
  table(
    ['STEP', 'RUN', 'PROCESSED', 'SUCCEEDED', 'FAILED', 'WRITES', 'VERDICT'],
    steps.map(({ step, runId, processed, succeeded, failed, writes, verdict, reason }) => [
      step,
      runId,
      ...[processed, succeeded, failed].map((count) => (count === undefined ? '-' : String(count))),
      writesText(writes),
      reason === undefined ? verdict : `${verdict}: ${reason}`,
    ]),
  );

/** Such as `patient: update 500`. */
const writesText = (writes: RehearsalStep['writes']): string =>
  Object.entries(writes).map(([name, verbs]) => `${name}: ${Object.entries(verbs).map(([verb, rows]) => `${verb} ${rows}`).join(', ')}`).join('; ') || '-';
