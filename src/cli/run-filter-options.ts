import { type Command, InvalidArgumentError, Option } from 'commander';
import { isRunId } from '../runs/records/run-id.js';
import { readLimit, readSince, readStatuses, TAKES } from '../runs/run-filter.js';
import type { RunStatus } from '../runs/records/run-status.js';

/** What the options of `runs` come to. */
export interface RunFilterOptions {
  readonly job?: string;
  readonly status?: readonly RunStatus[];
  readonly since?: Date;
  readonly q?: string;
  readonly before?: string;
  readonly limit: number;
}

/** The filters of GET /runs, as options. */
export const addRunFilterOptions = (command: Command): Command =>
  command
    .option('--job <slug>', 'only runs of this job')
    .addOption(new Option('--status <list>', TAKES.status).argParser(reader(readStatuses, TAKES.status)))
    .addOption(new Option('--since <time>', TAKES.since).argParser(reader(readSince, TAKES.since)))
    .option('--q <text>', "only runs whose job's name or error message holds this")
    .addOption(new Option('--before <id>', 'only runs older than this one: the next page').argParser(reader((text) => (isRunId(text) ? text : undefined), "a run's id")))
    .addOption(new Option('--limit <n>', 'how many, 1 to 500').argParser(reader(readLimit, TAKES.limit)).default(20));

/** Commander's reader of an option, from one of a filter's. */
const reader =
  <T>(read: (text: string) => T | undefined, takes: string) =>
  (text: string): T => {
    const value = read(text);
    if (value === undefined) throw new InvalidArgumentError(`It takes ${takes}.`);
    return value;
  };
