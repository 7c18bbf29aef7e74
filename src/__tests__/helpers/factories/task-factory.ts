import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import type { Task, Workflow } from '@commons/backend/models/tables.js';
import { defineFactory } from './define-factory.js';
import { patientFactory } from './patient-factory.js';

/** An open task, due in a week, that does not expire; `create` makes its patient, or takes its workflow's, where none is given. */
export const taskFactory = defineFactory<Task>(
  'task',
  ({ sequence }) => ({
    id: uuidv7(),
    patientId: uuidv7(),
    workflowId: null,
    title: `Task ${sequence}`,
    status: 'open',
    assignedTo: null,
    dueAt: new Date(Date.now() + 7 * 86_400_000),
    expiresAt: null,
  }),
  async ({ patientId, workflowId }) => ({ patientId: patientId ?? (await patientOf(workflowId as string | null | undefined)) }),
);

async function patientOf(workflowId: string | null | undefined): Promise<string> {
  const workflow = workflowId ? await knex<Workflow>('workflow').where({ id: workflowId }).first('patientId') : undefined;
  return workflow?.patientId ?? (await patientFactory.create()).id;
}
