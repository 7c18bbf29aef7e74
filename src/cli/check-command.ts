import path from 'node:path';
import { jobFolderOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';
import { table } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';

/**
 * Prints which jobs of a folder break which convention, or mark what cannot be kept out of the history, and how to mend it.
 * Exit code 1 when one does, or when there is no job.
 */
export async function checkCommand(source: SourceTree, folder: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const checked = path.resolve(folder ?? jobFolderOf(source).folder);
  const { checkConventions } = await import('../lib/job-files/conventions.js').catch(explainMissingParser);
  const { jobs, faults: broken } = readFolder(checked, checkConventions);
  if (jobs.length + broken.length === 0) throw new CliError(`there is no job in ${checked}`);
  const { checkJobMarks } = await import('../lib/job-files/check-marks.js');
  const faults = [...broken, ...(await checkJobMarks({ ...jobFolderOf(source), folder: checked }))];
  if (json) writeJson({ value: { jobs: jobs.length, faults } });
  else if (faults.length === 0) writeResult(`${jobs.length} ${jobs.length === 1 ? 'job keeps' : 'jobs keep'} the conventions\n`);
  else {
    const place = ({ file, line }: { file: string; line: number | undefined }) => `${path.relative('', path.join(checked, file))}${line === undefined ? '' : `:${line}`}`;
    writeResult(table(['WHERE', 'RULE', 'WHAT IS WRONG, AND HOW TO MEND IT'], faults.map((fault) => [place(fault), fault.rule, fault.problem])));
  }
  process.exitCode = faults.length > 0 ? 1 : 0;
}

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
