import { cutConnection, directUrl } from '../helpers/database-proxy.js';
import knex from '@commons/backend/lib/knex.js';
import { activeRuns } from '@commons/backend/runs/active-runs.js';
import { recordRun } from '@commons/backend/runs/record-run.js';
import { onlyFinished } from '@commons/backend/runs/run-result.js';
import type { RunStart } from '@commons/backend/runs/run-start.js';
import { createBatchJobRun } from '../helpers/factories/batch-job-run-factory.js';
import { holdLock } from '../helpers/locks.js';
import { auditOf, newDelivery } from '../helpers/new-run.js';
import { waitUntil } from '../helpers/wait-until.js';

process.env.DATABASE_ACQUIRE_TIMEOUT = '2s';
const JOB = 'is-claimed';
const BY = { by: { name: 'ann@example.com', isVerified: true, source: '10.0.0.1' }, action: 'run' } as const;

interface Way {
  readonly name: string;
  /** The name of its statement. */
  readonly statement: RegExp;
  readonly prepare: () => Promise<RunStart>;
  /** What keeps its statement waiting. */
  readonly lock: string;
  readonly attempt: number;
}

const endedRun = async (columns: object = {}) => String((await createBatchJobRun({ jobName: JOB, status: 'lost', ...columns })).id);
const TABLE = 'lock table batch_job_run in share mode';
const ROW = `select from batch_job_run where "jobName" = '${JOB}' for update`;

/** Every way to a run of one's own. */
const WAYS: readonly Way[] = [
  { name: 'a new run', statement: /make-runs-/, prepare: async () => ({}), lock: TABLE, attempt: 1 },
  { name: 'a new run with a large body', statement: /make-1-large-runs/, prepare: async () => ({ body: { text: 'x'.repeat(9_000) } }), lock: TABLE, attempt: 1 },
  { name: 'a run that is alone', statement: /make-claimed-run-/, prepare: async () => ({ overlap: 'skip' }), lock: TABLE, attempt: 1 },
  { name: 'a delivery', statement: /make-claimed-run-/, prepare: async () => ({ delivery: newDelivery() }), lock: TABLE, attempt: 1 },
  {
    name: 'a delivery that comes again',
    statement: /take-run-by-delivery/,
    async prepare() {
      const delivery = newDelivery();
      await endedRun({ deliveryKey: delivery.key });
      return { delivery };
    },
    lock: ROW,
    attempt: 2,
  },
  { name: 'a run that is started again', statement: /take-run-by-restart/, prepare: async () => ({ restart: { id: await endedRun(), attempt: 1, keepCursor: true } }), lock: ROW, attempt: 2 },
];

const rowsOfJob = () => knex('batch_job_run').where({ jobName: JOB }).select('*');
const running = () => rowsOfJob().where({ status: 'running' });

/** Runs it, and counts how often its work was done. */
function start(given: RunStart) {
  const work = jest.fn(() => 'done');
  return { work, result: recordRun(JOB, { perform: work }, { ...given, ...BY }) };
}

/** It ran once, and nothing is left of the faults. */
async function expectOneRun({ work, result }: ReturnType<typeof start>, attempt: number): Promise<void> {
  const { id, recorded } = onlyFinished(await result);
  expect(recorded).toBe('recorded');
  expect(work).toHaveBeenCalledTimes(1);
  expect(await rowsOfJob()).toMatchObject([{ id, attempt, status: 'succeeded', result: 'done' }]);
  expect(await auditOf(id)).toHaveLength(1);
  expect(activeRuns().size).toBe(0);
}

beforeAll(() => createBatchJobRun({ jobName: JOB }));
beforeEach(() => knex('batch_job_run').delete());

describe.each(WAYS)('$name', ({ statement, prepare, lock: held, attempt }) => {
  it('is claimed once, although the backend of its statement was ended while that waited for a lock', async () => {
    const given = await prepare();
    const lock = await holdLock(directUrl, held);
    const run = start(given);
    await lock.terminate(await lock.untilWaiting());
    await lock.release();
    await expectOneRun(run, attempt);
  });

  it('is claimed once, although it waited for a lock for longer than a statement may', async () => {
    const given = await prepare();
    const lock = await holdLock(directUrl, held);
    const run = start(given);
    await lock.untilWaitingAnew();
    await lock.release();
    await expectOneRun(run, attempt);
  });

  it('is claimed once, although the connection was cut after the commit and before the answer', async () => {
    const cuts = cutConnection(statement, 'answered', 2);
    const run = start(await prepare());
    await expectOneRun(run, attempt);
    expect(cuts()).toBeGreaterThan(0);
  });

  it('is claimed once, although the connection was cut while the server was still at it', async () => {
    const given = await prepare();
    const lock = await holdLock(directUrl, held);
    const cuts = cutConnection(statement, 'sent');
    const run = start(given);
    // The first try, of which nobody hears any more, and the second.
    await lock.untilWaiting(2);
    await lock.release();
    await expectOneRun(run, attempt);
    expect(cuts()).toBe(1);
  });
});

// Last: what is cleared up waits for locks too. Each takes seconds: a large body fails as a small one does, and a run that is alone as a delivery.
describe.each(WAYS.filter(({ name }) => !/large|alone/.test(name)))('$name', ({ statement, prepare, attempt }) => {
  it('is not run when no answer comes at all, and does not stay running without a process', async () => {
    const cuts = cutConnection(statement, 'answered', 1_000);
    // Nor to the look that would find the claim.
    cutConnection(/select id, attempt, status, claim/, 'answered', 1_000, () => cuts() > 0);
    const run = start(await prepare());
    await expect(run.result).rejects.toMatchObject({ status: 503, details: { retryAfterSeconds: 5 } });
    expect(run.work).not.toHaveBeenCalled();
    expect(cuts()).toBeGreaterThan(0);
    await waitUntil('nothing is running', async () => (await running()).length === 0, 10_000);
    expect(await rowsOfJob()).toMatchObject([{ attempt, status: 'failed', error: { name: 'RunNotStarted' } }]);
    expect(activeRuns().size).toBe(0);
  });
});
