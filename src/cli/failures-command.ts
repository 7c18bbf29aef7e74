import type { SourceTree } from '../lib/job-files/source-tree.js';
import { BatchJobRun } from '../models/batch-job-run.js';
import { failuresCsv } from '../runs/failures-csv.js';
import type { FailureGroup, FailureRow } from '../runs/records/failures.js';
import { isRunId } from '../runs/records/run-id.js';
import { CliError } from './cli-error.js';
import { failedItemsText } from './failed-items.js';
import { withDatabase } from './open-database.js';
import { readableTime, table } from './readable.js';
import { note, writeJson, writeResult } from './result-stream.js';

export interface FailuresOptions {
  readonly json?: boolean;
  readonly csv?: boolean;
}

/** Prints the items that a run could not process: first how many of each kind, then each one. */
export async function failuresCommand(source: SourceTree, id: string, { json, csv }: FailuresOptions): Promise<void> {
  if (!isRunId(id)) throw new CliError(`${JSON.stringify(id)} is no run's id. See: runs`);
  if (json && csv) throw new CliError('--json and --csv are two forms of the same: give one of them');
  await withDatabase(source, async () => {
    await BatchJobRun.markLost();
    const [run, groups, failures] = await Promise.all([BatchJobRun.find(id), BatchJobRun.groupFailures(id), BatchJobRun.listFailures(id)]);
    if (!run) throw new CliError(`there is no run ${id}; old ones are pruned. See: runs`);
    if (json) writeJson({ value: { groups, failures } });
    else if (csv) writeResult(failuresCsv(failures));
    else writeResult(failuresText(id, groups, failures));
    const count = run.failedItems ?? 0;
    if (count > failures.length) note(`${failedItemsText(count)}, of which ${failures.length} are kept`);
  });
}

function failuresText(id: string, groups: readonly FailureGroup[], failures: readonly FailureRow[]): string {
  if (failures.length === 0) return `no failed item of run ${id} is kept\n`;
  const kinds = table(['ITEMS', 'KIND', 'MESSAGE OF THE FIRST'], groups.map(({ count, fingerprint, message }) => [String(count), fingerprint, message]));
  const items = table(
    ['KEY', 'ATTEMPT', 'AT', 'KIND', 'MESSAGE'],
    failures.map(({ key, attempt, at, fingerprint, message }) => [JSON.stringify(key), String(attempt), readableTime(at), fingerprint, message]),
  );
  return `${kinds}\n${items}`;
}
