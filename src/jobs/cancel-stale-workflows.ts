import type { Knex } from 'knex';
import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'cancel-stale-workflows';

export const config: JobConfig = {
  description: 'Cancels open workflows that are long past their due date, the most overdue first, and their open tasks.',
  timeout: '1h',
  overlap: 'skip',
  schedule: { cron: '30 5 * * *', timeZone: 'America/New_York' },
};

export const RequestBody = z.object({
  overdueDays: z.number().int().min(1).max(3_650).optional().default(90).describe('Only workflows that were due more days ago than this.'),
  reason: z
    .string()
    .trim()
    .min(1)
    .max(500)
    .optional()
    .default('Long past its due date')
    .describe('Why, for whoever looks at a cancelled workflow. It is kept with each of them; no personal data.'),
  batchSize: z.number().int().min(1).max(10_000).optional().default(1_000).describe('Workflows that one transaction cancels.'),
  limit: z.number().int().min(1).optional().describe('Workflows to cancel at most. Default: all that are stale.'),
  isDryRun: z.boolean().optional().default(false).describe('Count what would be cancelled, and cancel nothing.'),
});

export const cancelStaleWorkflows = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { overdueDays, reason, batchSize, limit, isDryRun } = bodyResult.data;
  logger.log(`Cancelling workflows that were due more than ${overdueDays} days ago`, TAG, { batchSize, limit, isDryRun });
  /** Counts this attempt alone, where the run is resumed. What the batches count is the sum of all attempts. */
  let tasks = 0;

  const batches = await processInBatches({
    // Locked until the batch is written: nobody completes or postpones a workflow in between. (A dry run takes no locks.)
    query: knex('workflow')
      .where({ status: 'open' })
      .whereRaw(`"dueAt" < now() - ? * interval '1 day'`, [overdueDays])
      .whereExists(knex('patient').whereRaw('patient.id = workflow."patientId"').whereNull('patient.deletedAt'))
      .select<{ id: string }[]>('id')
      .forNoKeyUpdate('workflow'),
    // The columns of the index workflow_open_due, in its order.
    key: ['dueAt', 'id'],
    batchSize,
    limit,
    isDryRun,
    transaction: true,
    batch: async (workflows, trx) => {
      const ids = workflows.map(({ id }) => id);
      // Counted last, since a batch that fails is tried again in halves.
      const done = await (isDryRun ? countOpenTasks(trx, ids) : cancel(trx, ids, reason));
      tasks += done;
    },
  });
  const result = { ...batches, overdueDays, batchSize, limit, workflows: batches.succeeded, tasks };
  logger.log('Job complete', TAG, result);
  return result;
};

const openTasks = (trx: Knex, workflowIds: readonly string[]) =>
  trx('task').whereIn('workflowId', workflowIds).where({ status: 'open', deletedAt: null });

async function countOpenTasks(trx: Knex, workflowIds: readonly string[]): Promise<number> {
  const [counted] = await openTasks(trx, workflowIds).count<{ count: string }[]>();
  return Number(counted!.count);
}

/** @returns how many tasks it cancelled too */
async function cancel(trx: Knex, workflowIds: readonly string[], cancelReason: string): Promise<number> {
  const updated = { status: 'cancelled', updatedAt: trx.fn.now(), updatedBy: await findOrCreateAttributionUser(TAG, { trx }) };
  await trx('workflow').whereIn('id', workflowIds).update({ ...updated, closedAt: trx.fn.now(), cancelReason });
  return openTasks(trx, workflowIds).update(updated);
}

const main: ScriptHandler = async (req) => cancelStaleWorkflows(req.body);
export default main;
