import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import { requestCancel } from '@commons/backend/runs/records/cancel.js';
import { claimNextAttempt, claimRow } from '@commons/backend/runs/records/claim-row.js';
import { abandonClaim } from '@commons/backend/runs/records/doubtful-claim.js';
import { type Finish, finishRun } from '@commons/backend/runs/records/finish.js';
import { markLostRuns } from '@commons/backend/runs/records/leases.js';
import { isRunStatus, mayMove, redeliverable, restartable, RUN_STATUSES, type RunStatus, TRANSITIONS } from '@commons/backend/runs/records/run-status.js';
import { skipRun } from '@commons/backend/runs/records/skip.js';
import { createBatchJobRun } from '../../helpers/factories/batch-job-run-factory.js';
import { newDelivery, newRun, rowOf } from '../../helpers/new-run.js';

describe('the states of a run', () => {
  it('gives a reason for every arrow, and draws no arrow twice', () => {
    expect(TRANSITIONS.filter(({ when }) => when.length < 5)).toEqual([]);
    expect(new Set(TRANSITIONS.map(({ from, to }) => `${from} ${to}`)).size).toBe(TRANSITIONS.length);
  });

  it('lets nothing leave succeeded or skipped', () => {
    for (const from of ['succeeded', 'skipped'] as const) {
      expect(RUN_STATUSES.filter((to) => mayMove(from, to))).toEqual([]);
    }
  });

  it.each([
    ['(new)', 'succeeded'],
    ['queued', 'succeeded'],
    ['queued', 'lost'],
    ['running', 'queued'],
    ['running', 'skipped'],
    ['lost', 'succeeded'],
    ['timed_out', 'succeeded'],
    ['failed', 'succeeded'],
    ['succeeded', 'running'],
    ['cancelled', 'queued'],
  ] as const)('refuses %s -> %s', (from, to) => {
    expect(mayMove(from, to)).toBe(false);
  });

  it('has a person start again what ended badly, and a scheduler only what did so by itself', () => {
    expect([...restartable].toSorted()).toEqual(['cancelled', 'failed', 'interrupted', 'lost', 'timed_out']);
    expect([...redeliverable].toSorted()).toEqual(['failed', 'interrupted', 'lost', 'timed_out']);
  });

  it('is the list that the table accepts', async () => {
    const { rows } = await knex.raw<{ rows: { definition: string }[] }>(
      `select pg_get_constraintdef(oid) as definition from pg_constraint where conrelid = 'batch_job_run'::regclass and contype = 'c' and conname like '%status%'`,
    );
    const accepted = [...rows[0]!.definition.matchAll(/'(\w+)'::text/g)].map(([, status]) => status!);
    expect(accepted.toSorted()).toEqual([...RUN_STATUSES].toSorted());
    expect(accepted.every(isRunStatus)).toBe(true);
  });
});

/** A run in the database, or one of which there is no row. */
interface Subject {
  readonly id: string;
  readonly claim: string;
  readonly delivery: ReturnType<typeof newDelivery>;
}

/** What may be done to a run, and where that leads. */
interface Act {
  readonly name: string;
  readonly to: RunStatus;
  readonly perform: (subject: Subject) => Promise<unknown>;
  /** What it answers when it has left the run as it was; undefined for an act that answers nothing. */
  readonly refusal?: (subject: Subject, from: RunStatus | '(new)') => unknown;
  /** From that status it only asks for the move, which another act then does. */
  readonly asksFrom?: RunStatus;
}

const ATTEMPT = 3;
const finishAs = (to: RunStatus, { id }: Subject) => finishRun({ id, attempt: ATTEMPT, status: to as Finish['status'], httpStatus: 200, result: '{}', error: undefined });

const ACTS: readonly Act[] = [
  ...(['succeeded', 'failed', 'timed_out', 'cancelled', 'interrupted'] as const).map((to): Act => ({
    name: 'finishing it',
    to,
    perform: (subject) => finishAs(to, subject),
    // The same end once more: an earlier try has written it, and its answer was lost.
    refusal: (_subject, from) => (from === to ? 'recorded' : 'fenced'),
  })),
  // It takes a run from whatever status, if the statement does.
  { name: 'starting it again', to: 'running', perform: ({ id }) => claimNextAttempt({ ...newRun(), taking: { id, attempt: ATTEMPT, from: RUN_STATUSES, keepsPlace: true } }), refusal: () => undefined },
  { name: 'delivering it again', to: 'running', perform: ({ delivery }) => claimRow(newRun({ delivery })), refusal: ({ id }) => ({ kind: 'elsewhere', id }) },
  { name: 'asking it to stop', to: 'cancelled', perform: ({ id }) => requestCancel(id, 'somebody'), refusal: () => false, asksFrom: 'running' },
  { name: 'taking it for lost', to: 'lost', perform: async ({ id }) => (await markLostRuns()).some((run) => run.id === id), refusal: () => false },
  { name: 'giving up its claim', to: 'failed', perform: ({ claim }) => abandonClaim(claim) },
  { name: 'skipping its delivery', to: 'skipped', perform: ({ delivery }) => skipRun(newRun({ delivery })), refusal: ({ id }) => ({ kind: 'elsewhere', id }) },
];

/** Runs are not queued yet. */
const hasNoAct = ({ from, to }: { from: string; to: string }): boolean => to === 'queued' || (from === 'queued' && to === 'running');

async function subjectIn(status: RunStatus | '(new)'): Promise<Subject> {
  const [id, claim, delivery] = [uuidv7(), uuidv7(), newDelivery()];
  if (status === '(new)') {
    await createBatchJobRun(); // Has the job.
    return { id, claim, delivery };
  }
  await createBatchJobRun({
    id, claim, status, attempt: ATTEMPT, deliveryKey: delivery.key, result: { kept: true }, progress: { processed: 7 },
    // Its lease has passed, whatever its status.
    leaseUntil: knex.raw("now() - interval '1 s'"),
  });
  return { id, claim, delivery };
}

/** The row that the act made or moved. */
const rowAfter = ({ id, delivery }: Subject) => knex('batch_job_run').where({ id }).orWhere({ deliveryKey: delivery.key }).first<Record<string, unknown> | undefined>('*');

const PAIRS = (['(new)', ...RUN_STATUSES] as const).flatMap((from) => RUN_STATUSES.map((to) => ({ from, to, acts: ACTS.filter((act) => act.to === to) })));

describe('a run in the database', () => {
  afterEach(() => knex('batch_job_run').delete());

  it.each(PAIRS.filter(({ from, to, acts }) => !mayMove(from, to) && acts.length > 0))('goes from $from to $to by nothing that is done to it', async ({ from, acts }) => {
    for (const { name, perform, refusal } of acts) {
      const subject = await subjectIn(from);
      const before = await rowOf(subject.id);
      const answer = await perform(subject);
      expect({ name, row: await rowAfter(subject) }).toEqual({ name, row: before });
      expect({ name, answer }).toEqual({ name, answer: refusal?.(subject, from) });
    }
  });

  it.each(PAIRS.filter((pair) => mayMove(pair.from, pair.to) && !hasNoAct(pair)))('goes from $from to $to by some act, and whatever cannot move it says so', async ({ from, to, acts }) => {
    const moved: string[] = [];
    for (const { name, perform, refusal, asksFrom } of acts) {
      const subject = await subjectIn(from);
      const before = await rowOf(subject.id);
      const answer = await perform(subject);
      const after = await rowAfter(subject);
      if (after?.status === to) moved.push(name);
      else if (asksFrom === from) expect(answer).toBe(true);
      else expect({ name, row: after, answer }).toEqual({ name, row: before, answer: refusal?.(subject, from) });
    }
    expect(moved).not.toEqual([]);
  });

  it.each(RUN_STATUSES.filter((status) => status !== 'running'))('that is %s is finished by nobody, whatever arrows leave that status', async (from) => {
    for (const to of RUN_STATUSES.filter((status) => status !== from)) {
      const subject = await subjectIn(from);
      const before = await rowOf(subject.id);
      expect(await finishAs(to, subject)).toBe('fenced');
      expect(await rowOf(subject.id)).toEqual(before);
    }
  });

  it('is finished by its own attempt alone', async () => {
    const { id } = await subjectIn('running');
    const before = await rowOf(id);
    for (const attempt of [ATTEMPT - 1, ATTEMPT + 1]) {
      expect(await finishRun({ id, attempt, status: 'succeeded', httpStatus: 200, result: undefined, error: undefined })).toBe('fenced');
      expect(await rowOf(id)).toEqual(before);
    }
  });

  it('that a person has cancelled is not started again by a delivery, and is by a person', async () => {
    const { id, delivery } = await subjectIn('cancelled');
    expect(await claimRow(newRun({ delivery }))).toEqual({ kind: 'elsewhere', id });
    expect(await claimNextAttempt({ ...newRun(), taking: { id, attempt: ATTEMPT, from: restartable, keepsPlace: true } })).toMatchObject({ id, attempt: ATTEMPT + 1 });
  });
});
