import type { SourceTree } from '../lib/job-files/source-tree.js';
import { isRunId } from '../runs/records/run-id.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { BatchJobRunLog, type RunLogRow } from '../models/batch-job-run-log.js';
import type { RunDetail } from '../runs/records/history.js';
import { CliError } from './cli-error.js';
import { withDatabase } from './open-database.js';
import { escapeControls } from '../lib/text/escape-controls.js';
import { readableDuration, readableTime } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';
import { runJson } from '../runs/run-json.js';

/** Prints everything that is kept of one run, with its log. */
export async function showCommand(source: SourceTree, id: string, { json }: { json?: boolean }): Promise<void> {
  if (!isRunId(id)) throw new CliError(`${JSON.stringify(id)} is no run's id. See: runs`);
  await withDatabase(source, async () => {
    await BatchJobRun.markLost();
    const run = await BatchJobRun.find(id);
    if (!run) throw new CliError(`there is no run ${id}; old ones are pruned. See: runs`);
    const log = await allLines(run.id);
    if (json) writeJson({ value: { ...runJson(run), log } });
    else writeResult([...fieldLines(run), '', ...logLines(log)].map((line) => `${line}\n`).join(''));
  });
}

const PAGE = 1_000;

async function allLines(runId: string): Promise<RunLogRow[]> {
  const lines: RunLogRow[] = [];
  for (;;) {
    const page = await BatchJobRunLog.listLines(runId, { after: lines.at(-1), limit: PAGE });
    lines.push(...page);
    if (page.length < PAGE) return lines;
  }
}

function fieldLines(run: RunDetail): string[] {
  const { errorName: _name, errorMessage: _message, durationMs, failedItems, ...fields } = run;
  const failed = failedItems ? `${failedItems} (which: npm run -s job -- failures ${run.id})` : failedItems;
  const shown = { ...fields, failedItems: failed, duration: durationMs === null ? null : readableDuration(durationMs) };
  const entries = Object.entries(shown).filter(([, value]) => value !== null && value !== undefined);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.flatMap(([name, value]) => {
    const [first, ...more] = valueLines(name, value);
    return [`${name.padEnd(width)}  ${first}`, ...more.map((line) => `${' '.repeat(width)}  ${line}`)];
  });
}

function valueLines(name: string, value: unknown): string[] {
  if (value instanceof Date) return [value.toISOString()];
  if (typeof value !== 'object' || value === null) return [escapeControls(String(value))];
  return name === 'error' ? errorLines(value as KeptError) : jsonLines(value);
}

/** An error as describeError() keeps it, and beside that what the caller was told. */
interface KeptError {
  readonly name?: string;
  readonly message?: string;
  readonly stack?: string;
  readonly cause?: KeptError;
  readonly detail?: string;
  readonly [told: string]: unknown;
}

function errorLines({ name, message, stack, cause, detail, ...rest }: KeptError): string[] {
  return [
    ...(stack ?? `${name}: ${message}`).split('\n').map(escapeControls),
    ...(detail === undefined || detail === message ? [] : [`told to the caller: ${escapeControls(detail)}`]),
    ...(Object.keys(rest).length > 0 ? jsonLines(rest) : []),
    ...(cause ? errorLines(cause).map((line, at) => (at === 0 ? `caused by ${line}` : line)) : []),
  ];
}

const jsonLines = (value: unknown): string[] => JSON.stringify(value, undefined, 2).split('\n').map(escapeControls);

function logLines(log: readonly RunLogRow[]): string[] {
  const attempts = new Set(log.map(({ attempt }) => attempt));
  return [
    `log: ${log.length} ${log.length === 1 ? 'line' : 'lines'}`,
    ...log.map(({ attempt, at, level, tag, message, data }) => [
      readableTime(at),
      ...(attempts.size > 1 ? [`attempt ${attempt}`] : []),
      level.padEnd(5),
      ...(tag === null ? [] : [`[${escapeControls(tag)}]`]),
      escapeControls(message),
      ...(data === null ? [] : [escapeControls(JSON.stringify(data))]),
    ].join('  ')),
  ];
}
