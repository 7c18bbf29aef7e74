import type { Knex } from 'knex';

/** Who deletes, and why. */
export interface TaskDeletion {
  /** The id of a user. */
  deletedBy: string;
  deleteReason: string;
}

/** Marks tasks as deleted. One that is deleted already keeps what it says of that. @returns how many it marked */
export const softDeleteTasks = (trx: Knex, ids: readonly string[], { deletedBy, deleteReason }: TaskDeletion): Promise<number> =>
  trx('task')
    .whereIn('id', ids)
    .whereNull('deletedAt')
    .update({ deletedAt: trx.fn.now(), deletedBy, deleteReason, updatedAt: trx.fn.now(), updatedBy: deletedBy });
