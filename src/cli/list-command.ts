import type { SourceTree } from '../lib/job-files/source-tree.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { catalogue } from '../runs/catalogue.js';
import type { RunSummary } from '../runs/records/history.js';
import { runJson } from '../runs/run-json.js';
import { failedItemsText } from './failed-items.js';
import { withDatabase } from './open-database.js';
import { openJobs } from './open-jobs.js';
import { readableTime, table } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';

/** Longer than the service's, which has most jobs loaded already. */
const LOAD_WAIT_MS = 5_000;

/** Prints every job, those that cannot be loaded too, each with its newest run. */
export async function listCommand(source: SourceTree, { json }: { json?: boolean }): Promise<void> {
  const registry = openJobs(source);
  const jobs = await withDatabase(source, async () => {
    await BatchJobRun.markLost();
    return catalogue(registry, LOAD_WAIT_MS);
  });
  if (json) {
    const value = jobs.map(({ slug, status, description, fault, newestRun }) => ({
      slug, status, description, ...(fault !== undefined && { error: fault }), newestRun: newestRun ? runJson(newestRun) : null,
    }));
    writeJson({ value });
  } else {
    const rows = jobs.map(({ slug, status, description, fault, newestRun }) => [slug, status, runCell(newestRun), fault ?? description ?? '']);
    writeResult(table(['JOB', 'STATUS', 'NEWEST RUN', 'DESCRIPTION'], rows));
  }
}

function runCell(run: RunSummary | undefined): string {
  if (!run) return '-';
  const when = run.startedAt ?? run.queuedAt;
  const failed = failedItemsText(run.failedItems);
  return [run.status, ...(when ? [readableTime(when)] : []), ...(failed === undefined ? [] : [`(${failed})`])].join(' ');
}
