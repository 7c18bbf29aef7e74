import type { Knex } from 'knex';
import type { Task, Workflow } from '@commons/backend/models/tables.js';

/** What a merge comes to, by ids alone. */
export interface PatientMerge {
  readonly keptId: string;
  readonly duplicateIds: readonly string[];
  readonly workflowIds: readonly string[];
  readonly taskIds: readonly string[];
  /** Open workflows that are cancelled, each with the open one of the same type that goes on. */
  readonly cancelled: readonly { readonly id: string; readonly goesOn: string }[];
}

/**
 * Finds out what the duplicates have that the kept patient is to get: their workflows and tasks, also those that are closed
 * or deleted. A patient may have one open workflow of a type: the kept one's own goes on, or else the oldest; the others are
 * to be cancelled, and their open tasks to go on in the one that does, so that no work is lost.
 * @param isLocking holds the rows until the transaction ends, in the order of their ids, as all that merges does
 */
export async function planMerge(trx: Knex, keptId: string, duplicateIds: readonly string[], isLocking: boolean): Promise<PatientMerge> {
  const held = <Query extends Knex.QueryBuilder>(query: Query) => (isLocking ? query.forUpdate() : query);
  const workflows: Pick<Workflow, 'id' | 'patientId' | 'type' | 'status' | 'createdAt'>[] = await held(
    trx('workflow').whereIn('patientId', [keptId, ...duplicateIds]).orderBy('id').select('id', 'patientId', 'type', 'status', 'createdAt'),
  );
  const tasks: Pick<Task, 'id'>[] = await held(trx('task').whereIn('patientId', duplicateIds).orderBy('id').select('id'));

  const isKept = ({ patientId }: { patientId: string }) => patientId === keptId;
  const open = workflows
    .filter(({ status }) => status === 'open')
    .toSorted((a, b) => Number(isKept(b)) - Number(isKept(a)) || a.createdAt.getTime() - b.createdAt.getTime());
  const goesOn = new Map(open.toReversed().map(({ type, id }) => [type, id]));
  return {
    keptId,
    duplicateIds,
    workflowIds: workflows.filter((workflow) => !isKept(workflow)).map(({ id }) => id),
    taskIds: tasks.map(({ id }) => id),
    cancelled: open.map(({ id, type }) => ({ id, goesOn: goesOn.get(type)! })).filter((each) => each.id !== each.goesOn),
  };
}

/** Does what planMerge found, which must have locked it in the same transaction. The kept patient's own row stays as it is. */
export async function carryOutMerge(trx: Knex, { keptId, duplicateIds, workflowIds, taskIds, cancelled }: PatientMerge, mergedBy: string): Promise<void> {
  const updated = { updatedAt: trx.fn.now(), updatedBy: mergedBy };
  // First of all: two open workflows of a type may not belong to the kept patient even for a moment.
  for (const { id, goesOn } of cancelled) {
    const cancelReason = `The patient was a duplicate, and workflow ${goesOn} of the same type goes on`;
    await trx('workflow').where({ id }).update({ status: 'cancelled', closedAt: trx.fn.now(), cancelReason, ...updated });
    await trx('task').where({ workflowId: id, status: 'open', deletedAt: null }).update({ workflowId: goesOn, ...updated });
  }
  await trx('workflow').whereIn('id', workflowIds).update({ patientId: keptId, ...updated });
  await trx('task').whereIn('id', taskIds).update({ patientId: keptId, ...updated });
  await trx('patient').whereIn('id', duplicateIds).update({ deletedAt: trx.fn.now(), deletedBy: mergedBy, ...updated });
}
