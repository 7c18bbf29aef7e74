import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Finding } from '../lib/job-files/conventions.js';
import { jobFolderOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';
import { table } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';

export interface CheckOptions {
  readonly json?: boolean;
  readonly strict?: boolean;
}

/**
 * Prints what is wrong with the jobs of a folder, and how to mend it: faults, which keep a job from running as it is meant, and advice,
 * where it does not keep to a convention. Exit code 1 when there is a fault, with `strict` when there is either, or when there is no job.
 */
export async function checkCommand(source: SourceTree, folder: string | undefined, { json = false, strict = false }: CheckOptions): Promise<void> {
  if (folder === undefined && existsSync(path.join(source.root, 'cli.js'))) throw new CliError('this is the build, and what is checked are the TypeScript files of a checkout. Run there: npm run -s job -- check');
  const checked = path.resolve(folder ?? jobFolderOf(source).folder);
  const { checkConventions } = await import('../lib/job-files/conventions.js').catch(explainMissingParser);
  const { jobs, findings: ofText } = readFolder(checked, checkConventions);
  if (jobs.length + ofText.length === 0) throw new CliError(`there is no job in ${checked}`);
  const { checkLoading } = await import('../lib/job-files/check-loading.js');
  // What is wrong with those is known, and loading them would say it once more.
  const known = new Set(ofText.filter(({ severity }) => severity === 'fault').map(({ file }) => file));
  const findings = [...ofText, ...(await checkLoading({ ...jobFolderOf(source), folder: checked }, known))];
  const faults = findings.filter(({ severity }) => severity === 'fault');
  const advice = findings.filter(({ severity }) => severity === 'advice');
  if (json) writeJson({ value: { jobs: jobs.length, faults, advice } });
  else writeResult(`${findings.length > 0 ? findingsTable([...faults, ...advice], checked) : ''}${summary(jobs.length, faults.length, advice.length)}\n`);
  process.exitCode = faults.length > 0 || (strict && advice.length > 0) ? 1 : 0;
}

function findingsTable(findings: readonly Finding[], folder: string): string {
  const place = ({ file, line }: Finding) => `${path.relative('', path.join(folder, file))}${line === undefined ? '' : `:${line}`}`;
  return table(['', 'WHERE', 'RULE', 'WHAT IS WRONG, AND HOW TO MEND IT'], findings.map((each) => [each.severity, place(each), each.rule, each.problem]));
}

const summary = (jobs: number, faults: number, advice: number): string => {
  const counted = `${jobs} ${jobs === 1 ? 'job' : 'jobs'}`;
  if (faults + advice === 0) return `${counted}: nothing to mend`;
  return `${counted}: ${faults} ${faults === 1 ? 'fault' : 'faults'}, ${advice} ${advice === 1 ? 'piece' : 'pieces'} of advice`;
};

function readFolder<T>(folder: string, read: (folder: string) => T): T {
  try {
    return read(folder);
  } catch (error) {
    throw new CliError(`the folder ${folder} cannot be read: ${(error as Error).message}`);
  }
}

/** It parses with TypeScript, which production does without. */
function explainMissingParser(error: NodeJS.ErrnoException): never {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  throw new CliError('jobs are checked in a checkout: TypeScript, which parses them, is not installed here. Run: npm install', { cause: error });
}
