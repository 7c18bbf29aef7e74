import { z } from 'zod';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { RunRetention, type RetentionRule } from '@commons/backend/runs/records/retention.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'cleanup-batch-job-runs';

export const config: JobConfig = {
  description: 'Deletes old runs and their logs. The newest runs of every job stay, and whatever has not finished.',
  timeout: '1h',
  overlap: 'skip',
  schedule: { cron: '0 3 * * *', timeZone: 'America/New_York' },
};

export const RequestBody = z.object({
  olderThanDays: z.number().min(0).max(36_500).optional().default(90).describe('Only runs that finished longer ago than this.'),
  keepPerJob: z.number().int().min(0).max(100_000).optional().default(100).describe("So many of each job's newest runs stay, however old."),
  batchSize: z.number().int().min(1).max(10_000).optional().default(1_000).describe('Runs that one transaction deletes at most.'),
  limit: z.number().int().min(1).optional().describe('Runs to delete at most. Default: all that are old.'),
  isDryRun: z.boolean().optional().default(false).describe('Count what would be deleted, and delete nothing.'),
});

export const cleanupBatchJobRuns = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { olderThanDays, keepPerJob, batchSize, limit, isDryRun } = bodyResult.data;
  const rule: RetentionRule = { since: await RunRetention.daysAgo(olderThanDays), keepPerJob, exceptRunId: tryCurrentRun()?.id };
  const deleted = { deletedRuns: 0, deletedLogLines: 0 };
  logger.log(`Deleting runs that finished before ${rule.since.toISOString()}`, TAG, { keepPerJob, batchSize, limit, isDryRun });

  const counts = await processInBatches({
    // Not repeatable: what was deleted is not found again, and so a resumed run goes on where it was.
    query: () => findOldRuns(rule, batchSize),
    key: 'id',
    batchSize,
    limit,
    isDryRun,
    stopOnError: true,
    batch: async (runs, _trx, { isDryRun: isDry, fail }) => {
      const ids = runs.map(({ id }) => id);
      const { logLines, kept } = await (isDry ? RunRetention.countOldRuns(ids) : RunRetention.deleteOldRuns(ids, rule));
      for (const run of runs) if (kept.has(run.id)) fail(run, 'held by another transaction, or started again; the next cleanup meets it');
      deleted.deletedRuns += runs.length - kept.size;
      deleted.deletedLogLines += logLines;
      logger.log(`Processed ${runs.length} more runs`, TAG, { isDryRun: isDry });
    },
  });
  const result = { olderThanDays, keepPerJob, batchSize, ...counts, ...deleted };
  logger.log('Job complete', TAG, result);
  return result;
};

async function* findOldRuns(rule: RetentionRule, batchSize: number): AsyncGenerator<{ readonly id: string }> {
  for await (const { ids } of RunRetention.findOldRuns(rule, batchSize)) for (const id of ids) yield { id };
}

const main: ScriptHandler = async (req) => cleanupBatchJobRuns(req.body);
export default main;
