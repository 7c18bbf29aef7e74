import type { SourceTree } from '../lib/job-files/source-tree.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import type { RunSummary } from '../runs/records/history.js';
import { failedItemsText } from './failed-items.js';
import { withDatabase } from './open-database.js';
import { readableDuration, readableTime, table } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';
import { runJson } from '../runs/run-json.js';
import type { RunFilterOptions } from './run-filter-options.js';

/** Prints the history, newest first. */
export async function runsCommand(source: SourceTree, options: RunFilterOptions & { readonly json?: boolean }): Promise<void> {
  const { job, status, since, q, before, limit, json } = options;
  const runs = await withDatabase(source, async () => {
    await BatchJobRun.markLost();
    return BatchJobRun.list({ jobName: job, statuses: status, since, text: q, before, limit });
  });
  if (json) writeJson({ value: runs.map(runJson) });
  else writeResult(table(['RUN', 'JOB', 'STATUS', 'STARTED', 'DURATION', 'TRIGGER', 'ERROR'], runs.map(row)));
}

/** Such as `succeeded (dry run, 3 items failed)`: a run that succeeded may have failed in part. */
function statusCell({ status, isDryRun, failedItems }: RunSummary): string {
  const notes = [isDryRun ? 'dry run' : undefined, failedItemsText(failedItems)].filter((text) => text !== undefined);
  return notes.length > 0 ? `${status} (${notes.join(', ')})` : status;
}

const row = (run: RunSummary): string[] => [
  run.id,
  run.jobName,
  statusCell(run),
  run.startedAt ? readableTime(run.startedAt) : '-',
  run.durationMs === null ? '-' : readableDuration(run.durationMs),
  run.trigger,
  run.errorMessage ?? run.errorName ?? '',
];
