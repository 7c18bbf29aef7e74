import type { Faker } from '@faker-js/faker';
import { uuidv7 } from 'uuidv7';
import type { Task, Workflow } from '../tables.js';
import type { NewPatient } from './synthetic-patients.js';

interface WorkOf {
  readonly faker: Faker;
  /** Clinicians, to whom tasks are assigned. */
  readonly userIds: readonly string[];
  readonly createdBy: string;
  readonly now: Date;
}

export interface Work {
  readonly workflows: readonly Workflow[];
  readonly tasks: readonly Task[];
}

/** Days from now, from and to, that a workflow or a task is due; those that are over, on either side. */
const DUE = { open: [0, 30], overdue: [-30, -1], stale: [-400, -91], over: [-30, 30] } as const;

/**
 * What is to be done for a patient, or was: for some a workflow, open, overdue for days or for months, completed or cancelled; for most of those
 * tasks, open, overdue, expired, done, cancelled or deleted. Some of the discharged have an open workflow for it, and most have none.
 */
export function workMaker({ faker, userIds, createdBy, now }: WorkOf): (patient: NewPatient) => Work {
  const happens = (percent: number): boolean => faker.number.int(99) < percent;
  const inDays = ([least, most]: readonly [number, number]): Date => new Date(now.getTime() + faker.number.int({ min: least * DAY, max: most * DAY }));
  const audit = (at: Date) => ({ createdAt: at, createdBy, updatedAt: at, updatedBy: null });

  function workflowOf(patient: NewPatient): Workflow {
    const state = faker.helpers.arrayElement(['open', 'open', 'overdue', 'overdue', 'stale', 'completed', 'cancelled'] as const);
    const isOver = state === 'completed' || state === 'cancelled';
    return {
      id: uuidv7(),
      patientId: patient.id,
      type: patient.status === 'discharged' ? 'discharge' : faker.helpers.arrayElement(['onboarding', 'care_gap'] as const),
      status: isOver ? state : 'open',
      priority: faker.helpers.arrayElement(['low', 'normal', 'normal', 'high', 'urgent'] as const),
      dueAt: inDays(DUE[isOver ? 'over' : state]),
      closedAt: isOver ? inDays([-30, 0]) : null,
      cancelReason: state === 'cancelled' ? 'synthetic: no longer needed' : null,
      ...audit(inDays(state === 'stale' ? [-500, -401] : [-59, -31])),
    };
  }

  function taskOf(patient: NewPatient, workflow: Workflow | undefined): Task {
    const isForOpen = workflow?.status === 'open';
    const state = faker.helpers.arrayElement(isForOpen ? (['open', 'overdue'] as const) : (['open', 'overdue', 'expired', 'expired', 'done', 'cancelled'] as const));
    const isOver = state === 'done' || state === 'cancelled';
    const deletedAt = !isForOpen && happens(5) ? inDays([-30, 0]) : null;
    return {
      id: uuidv7(),
      patientId: patient.id,
      workflowId: workflow?.id ?? null,
      title: faker.helpers.arrayElement(TITLES),
      status: isOver ? state : 'open',
      assignedTo: happens(70) ? faker.helpers.arrayElement(userIds) : null,
      dueAt: inDays(DUE[isOver ? 'over' : state === 'open' ? 'open' : 'overdue']),
      expiresAt: state === 'expired' ? inDays([-30, -1]) : happens(50) ? inDays([31, 120]) : null,
      ...audit(inDays([-59, -31])),
      deletedAt,
      deletedBy: deletedAt && createdBy,
      deleteReason: deletedAt && 'synthetic: entered by mistake',
    };
  }

  return (patient) => {
    const workflow = happens(patient.status === 'discharged' ? 25 : 40) ? workflowOf(patient) : undefined;
    const count = faker.number.int(workflow ? 2 : 1);
    return { workflows: workflow ? [workflow] : [], tasks: Array.from({ length: count }, () => taskOf(patient, workflow)) };
  };
}

const TITLES = ['Call the patient', 'Review medication', 'Schedule a visit', 'Request records', 'Check the insurance'];

/** ms */
const DAY = 86_400_000;
