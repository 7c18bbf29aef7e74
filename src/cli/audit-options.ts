import { type Command, InvalidArgumentError, Option } from 'commander';
import { isRunId } from '../runs/records/run-id.js';
import { readLimit, TAKES } from '../runs/run-filter.js';

/** What the options of `audit` come to. */
export interface AuditOptions {
  readonly caller?: string;
  readonly action?: string;
  readonly outcome?: string;
  readonly run?: string;
  readonly before?: string;
  readonly limit: number;
  readonly json?: boolean;
}

/** The filters of GET /audit, as options. */
export const addAuditOptions = (command: Command): Command =>
  command
    .option('--caller <email>', 'only what this caller asked for')
    .option('--action <action>', 'only run, rehearse, cancel, retry, resume, read or audit')
    .addOption(new Option('--outcome <outcome>', 'only what was allowed, or denied').choices(['allowed', 'denied']))
    .addOption(new Option('--run <id>', 'only what was done to this run').argParser(runId))
    .addOption(new Option('--before <id>', 'only entries older than this one: the next page').argParser(runId))
    .addOption(new Option('--limit <n>', 'how many, 1 to 500').argParser(limitOf).default(50))
    .option('--json', 'as JSON');

function runId(text: string): string {
  if (!isRunId(text)) throw new InvalidArgumentError('It takes an id.');
  return text;
}

function limitOf(text: string): number {
  const limit = readLimit(text);
  if (limit === undefined) throw new InvalidArgumentError(`It takes ${TAKES.limit}.`);
  return limit;
}
