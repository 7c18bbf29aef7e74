import { z } from 'zod';
import logger from '@commons/backend/lib/logging.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { RunRetention, type RetentionRule } from '@commons/backend/models/run-retention.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'cleanup-batch-job-runs';

export const config: JobConfig = {
  description: 'Deletes old runs and their logs. The newest runs of every job stay, and whatever has not finished.',
  timeout: '1h',
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
  const { olderThanDays, keepPerJob, batchSize, limit = Infinity, isDryRun } = bodyResult.data;
  const run = tryCurrentRun();
  const rule: RetentionRule = { since: await RunRetention.daysAgo(olderThanDays), keepPerJob, exceptRunId: run?.id };
  /** Runs, but for the log lines. A failed one was held by another transaction, or started again; the next cleanup meets it. */
  const counts = { processed: 0, succeeded: 0, failed: 0, deletedRuns: 0, deletedLogLines: 0 };
  logger.log(`Deleting runs that finished before ${rule.since.toISOString()}`, TAG, { keepPerJob, batchSize, limit: bodyResult.data.limit, isDryRun });

  for await (const { jobName, ids } of RunRetention.findOldRuns(rule, batchSize)) {
    run?.signal.throwIfAborted();
    const old = { jobName, ids: ids.slice(0, limit - counts.processed) };
    const { runs, logLines } = await (isDryRun ? RunRetention.countOldRuns(old) : RunRetention.deleteOldRuns(old, rule));
    counts.processed += old.ids.length;
    counts.succeeded += runs;
    counts.failed += old.ids.length - runs;
    counts.deletedRuns += runs;
    counts.deletedLogLines += logLines;
    logger.log(`Processed ${counts.processed} runs`, TAG, { isDryRun, jobName });
    if (counts.processed >= limit) break;
  }
  const result = { isDryRun, olderThanDays, keepPerJob, batchSize, ...counts };
  logger.log('Job complete', TAG, result);
  return result;
};

const main: ScriptHandler = async (req) => cleanupBatchJobRuns(req.body);
export default main;
