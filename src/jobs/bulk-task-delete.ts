import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { actingUser } from '@commons/backend/models/acting-user.js';
import type { Task } from '@commons/backend/models/tables.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import { softDeleteTasks, type TaskDeletion } from '@commons/backend/jobs/shared/soft-delete-tasks.js';

const TAG = 'bulk-task-delete';

export const config: JobConfig = {
  description: 'Soft-deletes the tasks of a list, in the name of the user who asked for it.',
  timeout: '5m',
};

export const RequestBody = z.object({
  taskIds: z
    .array(z.uuid().toLowerCase())
    .min(1)
    .max(500)
    .refine((ids) => new Set(ids).size === ids.length, 'must not name a task twice')
    .describe('The tasks to delete: 1 to 500 ids, each one once.'),
  requestedBy: z
    .union([z.uuid().toLowerCase(), z.email().toLowerCase()])
    .optional()
    .describe('Who deletes them, where the caller is not verified: the id or the e-mail address of a user. Else it is the caller.'),
  reason: z.string().trim().min(1).max(500).describe('Why, for whoever looks for a task. It is kept with each of them; no personal data.'),
  isDryRun: z.boolean().optional().default(false).describe('Say what would be deleted, and delete nothing.'),
});

/** Tasks that one transaction deletes. */
const CHUNK_SIZE = 50;

/**
 * Counts tasks: processed = succeeded + failed, and succeeded = deleted + alreadyDeleted. Those that are not there (notFound)
 * have failed, and so have all of a chunk whose transaction did; the other chunks go on.
 * @throws {StatusError} 422 when requestedBy is no user, 403 when it is another one than the caller; 500, with the counts, when no chunk could be deleted
 */
export const bulkTaskDelete = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { taskIds, requestedBy, reason, isDryRun } = bodyResult.data;
  const deletedBy = await actingUser(requestedBy);
  const counts = { deleted: 0, alreadyDeleted: 0, notFound: 0 };
  logger.log(`Deleting ${taskIds.length} tasks`, TAG, { deletedBy, isDryRun });

  const batches = await processInBatches({
    query: taskIds.map((id) => ({ id })),
    key: 'id',
    batchSize: CHUNK_SIZE,
    isDryRun,
    // A list of which no task is there any more is an answer, and no fault.
    maxFailures: Infinity,
    batch: async (tasks, _trx, context) => {
      const ids = tasks.map(({ id }) => id);
      const found = await deleteChunk(ids, { deletedBy, deleteReason: reason, isDryRun });
      const missing = tasks.filter(({ id }) => !found.has(id));
      for (const task of missing) context.fail(task, 'there is no such task');
      const alreadyDeleted = [...found.values()].filter((wasDeleted) => wasDeleted).length;
      counts.deleted += found.size - alreadyDeleted;
      counts.alreadyDeleted += alreadyDeleted;
      counts.notFound += missing.length;
    },
  });
  const result = { requested: taskIds.length, ...batches, ...counts };
  if (batches.succeeded === 0 && batches.failed > counts.notFound) throw new StatusError(500, { message: 'No task could be deleted', ...result });
  logger.log('Job complete', TAG, result);
  return result;
};

/**
 * Deletes the chunk's tasks, or none of them, in a transaction of its own. In a dry run it looks at the same rows.
 * @returns the tasks that there are, and of each whether it was deleted before
 */
const deleteChunk = (ids: readonly string[], { isDryRun, ...deletion }: TaskDeletion & { isDryRun: boolean }): Promise<Map<string, boolean>> =>
  knex.transaction(async (trx) => {
    // Locked, so that what is counted is what is deleted; in the order of the ids, so that two runs at once do not deadlock.
    const query = trx<Task>('task').whereIn('id', ids).orderBy('id').select('id', 'deletedAt');
    const tasks = await (isDryRun ? query : query.forUpdate());
    const toDelete = tasks.filter(({ deletedAt }) => deletedAt === null).map(({ id }) => id);
    if (!isDryRun && toDelete.length > 0) await softDeleteTasks(trx, toDelete, deletion);
    return new Map(tasks.map(({ id, deletedAt }) => [id, deletedAt !== null]));
  });

const main: ScriptHandler = async (req) => bulkTaskDelete(req.body);
export default main;
