import type { Readable, Writable } from 'node:stream';
import { JOB_CATEGORIES, type JobCategory } from '../lib/job-files/categories.js';
import { CliError } from './cli-error.js';
import { readJobName } from './job-name.js';
import { TEMPLATES } from './job-templates.js';

export interface AskedJob {
  readonly words: readonly string[];
  readonly table: string;
  readonly column: string;
}

/**
 * Asks a person at a terminal for a category, a name, a table and a column.
 * @throws {CliError} when the person gives up (Ctrl-C, Escape)
 */
export async function askForJob(input: Readable, output: Writable): Promise<AskedJob> {
  // ESM alone, and of no use to any other command.
  const { isCancel, select, text } = await import('@clack/prompts');
  const answered = async <T>(answer: Promise<T>): Promise<Exclude<T, symbol>> => {
    const value = await answer;
    if (isCancel(value)) throw new CliError('nothing was written');
    return value as Exclude<T, symbol>;
  };
  const streams = { input, output };
  const options = Object.entries(JOB_CATEGORIES).map(([value, hint]) => ({ value: value as JobCategory, label: `${value}-`, hint }));
  const category = await answered(select<JobCategory>({ ...streams, message: 'What kind of job is it?', options, maxItems: options.length }));
  const name = await answered(text({ ...streams, message: `Its name, behind ${category}-`, placeholder: 'patient-phones', validate: (value) => faultOf([category, value ?? '']) }));
  const { table, column } = TEMPLATES[category];
  return {
    words: [category, name],
    table: await answered(text({ ...streams, message: 'The table that it works on', placeholder: table, defaultValue: table })),
    column: await answered(text({ ...streams, message: 'The column', placeholder: column, defaultValue: column })),
  };
}

function faultOf(words: readonly string[]): string | undefined {
  try {
    readJobName(words, false);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
