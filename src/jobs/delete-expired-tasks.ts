import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import { softDeleteTasks } from '@commons/backend/jobs/shared/soft-delete-tasks.js';

const TAG = 'delete-expired-tasks';

export const config: JobConfig = {
  description: 'Soft-deletes open tasks that have expired, the longest expired first.',
  timeout: '1h',
  overlap: 'skip',
  schedule: { cron: '30 4 * * *', timeZone: 'America/New_York' },
};

export const RequestBody = z.object({
  graceDays: z.number().int().min(0).max(3_650).optional().default(0).describe('Only tasks that expired so many days ago or earlier.'),
  batchSize: z.number().int().min(1).max(10_000).optional().default(1_000).describe('Tasks that one transaction deletes.'),
  limit: z.number().int().min(1).optional().describe('Tasks to delete at most. Default: all that have expired.'),
  isDryRun: z.boolean().optional().default(false).describe('Count what would be deleted, and delete nothing.'),
});

export const deleteExpiredTasks = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { graceDays, batchSize, limit, isDryRun } = bodyResult.data;
  logger.log('Deleting expired tasks', TAG, { graceDays, batchSize, limit, isDryRun });

  const batches = await processInBatches({
    // Locked until the batch is written: nobody completes or postpones a task in between. (A dry run takes no locks.)
    query: knex('task')
      .where({ status: 'open', deletedAt: null })
      .whereRaw(`"expiresAt" <= now() - ? * interval '1 day'`, [graceDays])
      .select<{ id: string }[]>('id')
      .forUpdate(),
    // The columns of the index task_expiring, in its order.
    key: ['expiresAt', 'id'],
    batchSize,
    limit,
    isDryRun,
    transaction: true,
    batch: async (tasks, trx) => {
      if (isDryRun) return;
      const deletedBy = await findOrCreateAttributionUser(TAG, { trx });
      await softDeleteTasks(trx, tasks.map(({ id }) => id), { deletedBy, deleteReason: 'expired' });
    },
  });
  const result = { ...batches, graceDays, batchSize, limit };
  logger.log('Job complete', TAG, result);
  return result;
};

const main: ScriptHandler = async (req) => deleteExpiredTasks(req.body);
export default main;
