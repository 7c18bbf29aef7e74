import { uuidv7 } from 'uuidv7';
import type { Workflow } from '@commons/backend/models/tables.js';
import { defineFactory } from './define-factory.js';
import { patientFactory } from './patient-factory.js';

/** An open workflow, due in a week; `create` makes its patient where none is given. One that is not open was closed just now. */
export const workflowFactory = defineFactory<Workflow>(
  'workflow',
  ({ params: { status = 'open' } }) => ({
    id: uuidv7(),
    patientId: uuidv7(),
    type: 'onboarding',
    status,
    priority: 'normal',
    dueAt: new Date(Date.now() + 7 * 86_400_000),
    closedAt: status === 'open' ? null : new Date(),
    cancelReason: status === 'cancelled' ? 'no longer needed' : null,
  }),
  async ({ patientId }) => ({ patientId: patientId ?? (await patientFactory.create()).id }),
);
