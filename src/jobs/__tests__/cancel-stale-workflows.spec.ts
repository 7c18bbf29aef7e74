import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { daysAgo } from '@commons/backend/__tests__/helpers/days-ago.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { taskFactory } from '@commons/backend/__tests__/helpers/factories/task-factory.js';
import { workflowFactory } from '@commons/backend/__tests__/helpers/factories/workflow-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { refusingWrites } from '@commons/backend/__tests__/helpers/refusing-writes.js';
import { databaseTime, rowsPerTransaction } from '@commons/backend/__tests__/helpers/rows-per-transaction.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilAQueryWaits } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { cancelStaleWorkflows } from '@commons/backend/jobs/cancel-stale-workflows.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';

jest.mock('@commons/backend/lib/logging.js');
jest.mock('@commons/backend/lib/process-in-batches.js', () => {
  const actual = jest.requireActual('@commons/backend/lib/process-in-batches.js');
  return { ...actual, processInBatches: jest.fn(actual.processInBatches) };
});
jest.mock('@commons/backend/models/user.js', () => {
  const actual = jest.requireActual('@commons/backend/models/user.js');
  return { ...actual, findOrCreateAttributionUser: jest.fn(actual.findOrCreateAttributionUser) };
});

beforeEach(async () => {
  jest.clearAllMocks();
  await knex.raw('truncate patient, "user" cascade');
});

type Columns = Parameters<typeof workflowFactory.create>[0];

/** An open workflow that was due `days` ago, with so many open tasks. @returns its id */
const createWorkflow = async (days: number, { tasks = 0, ...columns }: Columns & { tasks?: number } = {}): Promise<string> => {
  const { id } = await workflowFactory.create({ dueAt: daysAgo(days), updatedAt: '2020-01-01', ...columns });
  for (let made = 0; made < tasks; made++) await taskFactory.create({ workflowId: id, updatedAt: '2020-01-01' });
  return id;
};

/** So many stale ones, the most overdue first. */
const createStale = async (count: number, tasks = 0): Promise<string[]> => {
  const ids: string[] = [];
  while (ids.length < count) ids.push(await createWorkflow(500 - ids.length, { tasks }));
  return ids;
};

const cancelled = (): Promise<string[]> => knex('workflow').where({ status: 'cancelled' }).orderBy('dueAt').pluck('id');
const statusesOfTasks = (workflowId: string): Promise<string[]> => knex('task').where({ workflowId }).orderBy('id').pluck('status');

/** What is in each row, and which version of it: any write, even of the same values, makes another. */
const allRows = async () => {
  const rowsOf = (table: string) => knex(table).select('*', knex.raw('xmin::text, ctid::text')).orderBy('id');
  return { workflows: await rowsOf('workflow'), tasks: await rowsOf('task') };
};

describe('cancelStaleWorkflows', () => {
  it.each([
    ['no body', null],
    ['what is not overdue yet', { overdueDays: 0 }],
    ['half a day', { overdueDays: 1.5 }],
    ['days as text', { overdueDays: '90' }],
    ['an empty reason', { reason: '' }],
    ['a blank reason', { reason: '  ' }],
    ['a reason without end', { reason: 'x'.repeat(501) }],
    ['a batch of none', { batchSize: 0 }],
    ['a batch that would hold its locks for long', { batchSize: 10_001 }],
    ['a limit of none', { limit: 0 }],
    ['a flag as text', { isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(processInBatches).not.toHaveBeenCalled();
  });

  it('goes in transactions of the size asked for, the most overdue first', async () => {
    // The newest ones are the most overdue, so that their ids are in another order.
    const ids: string[] = [];
    for (let made = 0; made < 22; made++) ids.unshift(await createWorkflow(200 + made));
    const since = await databaseTime();
    await cancelStaleWorkflows({ batchSize: 7, limit: 20 });
    expect(await rowsPerTransaction('workflow', since)).toEqual([7, 7, 6]);
    expect(await knex('workflow').where({ status: 'cancelled' }).orderBy(['updatedAt', 'dueAt']).pluck('id')).toEqual(ids.slice(0, 20));
  });

  it('cancels nothing when it cannot say who cancelled it', async () => {
    await createStale(1);
    jest.mocked(findOrCreateAttributionUser).mockRejectedValueOnce(new Error('no users today'));
    await expect(cancelStaleWorkflows({})).rejects.toMatchObject({ data: { processed: 1, succeeded: 0, failed: 1 } });
    expect(await cancelled()).toEqual([]);
  });

  it('cancels stale workflows and their open tasks, and says who did it, when and why', async () => {
    const id = await createWorkflow(91, { tasks: 2 });
    await expect(cancelStaleWorkflows({ reason: ' The programme has ended ' })).resolves.toEqual({
      isDryRun: false, processed: 1, succeeded: 1, failed: 0, overdueDays: 90, limit: undefined, batchSize: 1_000, workflows: 1, tasks: 2,
    });
    const { id: updatedBy } = await knex('user').where({ email: 'cancel-stale-workflows@jobs.invalid' }).first();
    const workflow = await knex('workflow').where({ id }).first();
    expect(workflow).toMatchObject({ status: 'cancelled', cancelReason: 'The programme has ended', updatedBy });
    expect(workflow.updatedAt).toEqual(workflow.closedAt);
    expect(workflow.closedAt.getFullYear()).toBeGreaterThan(2020);
    for (const task of await knex('task')) {
      expect(task).toMatchObject({ status: 'cancelled', updatedBy, deletedAt: null });
      expect(task.updatedAt).toEqual(workflow.updatedAt);
    }
  });

  it('has a reason of its own', async () => {
    const id = await createWorkflow(91);
    await cancelStaleWorkflows({});
    expect(await knex('workflow').where({ id }).first()).toMatchObject({ cancelReason: 'Long past its due date' });
  });

  it('leaves tasks alone that are done, cancelled, deleted, of another workflow, or of none', async () => {
    const workflowId = await createWorkflow(91, { tasks: 1 });
    await taskFactory.create({ workflowId, status: 'done' });
    await taskFactory.create({ workflowId, status: 'cancelled' });
    await taskFactory.create({ workflowId, deletedAt: new Date() });
    await createWorkflow(1, { tasks: 1 });
    await taskFactory.create();
    const before = (await allRows()).tasks;
    await expect(cancelStaleWorkflows({})).resolves.toMatchObject({ workflows: 1, tasks: 1 });
    const after = (await allRows()).tasks;
    expect(after.filter((row, place) => row.ctid !== before[place].ctid)).toHaveLength(1);
    expect(await statusesOfTasks(workflowId)).toEqual(['cancelled', 'done', 'cancelled', 'open']);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['is not overdue for so long', () => createWorkflow(89, { tasks: 1 })],
    ['is due some day', () => createWorkflow(-1, { tasks: 1 })],
    ['is due on no day', () => createWorkflow(0, { dueAt: null, tasks: 1 })],
    ['was completed', () => createWorkflow(200, { status: 'completed', tasks: 1 })],
    ['was cancelled before', () => createWorkflow(200, { status: 'cancelled', tasks: 1 })],
    ['has a patient who was deleted', async () => createWorkflow(200, { patientId: (await patientFactory.create({ deletedAt: new Date() })).id, tasks: 1 })],
  ])('leaves a workflow alone that %s', async (_what, create) => {
    await create();
    const before = await allRows();
    expect(before.tasks).toHaveLength(1);
    await expect(cancelStaleWorkflows({})).resolves.toMatchObject({ processed: 0, workflows: 0, tasks: 0 });
    expect(await allRows()).toEqual(before);
  });

  it('goes by the days it is given', async () => {
    const old = await createWorkflow(40);
    const young = await createWorkflow(20);
    await expect(cancelStaleWorkflows({ overdueDays: 30 })).resolves.toMatchObject({ workflows: 1 });
    expect(await cancelled()).toEqual([old]);
    await expect(cancelStaleWorkflows({ overdueDays: 10 })).resolves.toMatchObject({ workflows: 1 });
    expect(await cancelled()).toEqual([old, young]);
  });

  it.each([1, 3, 9, 10, 100])('cancels all of ten in batches of %d', async (batchSize) => {
    const ids = await createStale(10, 1);
    await expect(cancelStaleWorkflows({ batchSize })).resolves.toMatchObject({ processed: 10, workflows: 10, tasks: 10 });
    expect(await cancelled()).toEqual(ids);
  });

  it.each([1, 4, 7])('cancels the %d most overdue when that is the limit, and the next run goes on', async (limit) => {
    const ids = await createStale(8);
    await expect(cancelStaleWorkflows({ batchSize: 3, limit })).resolves.toMatchObject({ processed: limit, workflows: limit });
    expect(await cancelled()).toEqual(ids.slice(0, limit));
    await expect(cancelStaleWorkflows({ batchSize: 3 })).resolves.toMatchObject({ workflows: 8 - limit });
    expect(await cancelled()).toEqual(ids);
  });

  it('leaves a workflow open with all its tasks when one of these cannot be cancelled, counts it as failed, and cancels the others', async () => {
    const ids = await createStale(5, 2);
    const [bad] = await knex('task').where({ workflowId: ids[2] }).pluck('id');
    const run = new TestRun();
    const running = refusingWrites({ table: 'task', on: 'update', when: `new.id = '${bad}'` }, () => run.do(() => cancelStaleWorkflows({ batchSize: 4 })));
    await expect(running).resolves.toMatchObject({ processed: 5, succeeded: 4, failed: 1, workflows: 4, tasks: 8 });
    expect(run.failures.map(({ key }) => key)).toEqual([[expect.any(String), ids[2]]]);
    expect(await cancelled()).toEqual(ids.toSpliced(2, 1));
    expect(await statusesOfTasks(ids[2]!)).toEqual(['open', 'open']);
  });

  it('leaves a workflow alone that somebody completes while it comes to it', async () => {
    const ids = await createStale(3, 1);
    const completing = await knex.transaction();
    await completing('workflow').where({ id: ids[1] }).update({ status: 'completed', closedAt: new Date() });
    const running = cancelStaleWorkflows({});
    await untilAQueryWaits();
    await completing.commit();
    await expect(running).resolves.toMatchObject({ processed: 2, workflows: 2, tasks: 2 });
    expect(await cancelled()).toEqual([ids[0], ids[2]]);
    expect(await statusesOfTasks(ids[1]!)).toEqual(['open']);
  });

  it('stops between two batches when its run is to stop', async () => {
    const ids = await createStale(5);
    const run = new TestRun();
    jest.spyOn(run, 'progress').mockImplementation(() => run.controller.abort(new Error('the service stops')));
    await expect(run.do(() => cancelStaleWorkflows({ batchSize: 2 }))).rejects.toThrow('the service stops');
    expect(await cancelled()).toEqual(ids.slice(0, 2));
  });

  it('keeps the reason, which a person wrote, out of its log', async () => {
    await createStale(1);
    await cancelStaleWorkflows({ reason: 'S3cret' });
    const logged = JSON.stringify([logger.log, logger.warn, logger.error, logger.debug].map((level) => jest.mocked(level).mock.calls));
    expect(logged).toContain('"workflows":1');
    expect(logged).not.toContain('S3cret');
  });
});

describe('POST /jobs/cancel-stale-workflows', () => {
  const { post } = jobOverHttp('cancel-stale-workflows');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    await createStale(7, 2);
    await createWorkflow(1, { tasks: 1 });
    const before = await allRows();
    const body = { batchSize: 3, reason: 'The programme has ended' };
    const counts = { processed: 7, succeeded: 7, failed: 0, overdueDays: 90, batchSize: 3, workflows: 7, tasks: 14 };

    const dry = await post({ ...body, isDryRun: true });
    expect(dry.answer.body).toEqual({ isDryRun: true, ...counts });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);
    expect(await knex('user')).toEqual([]);

    const real = await post(body);
    expect(real.answer.body).toEqual({ isDryRun: false, ...counts });
    expect(real.writes).toEqual({ user: { insert: 1 }, workflow: { update: 7 }, task: { update: 14 } });

    const second = await post(body);
    expect(second.answer.body).toMatchObject({ processed: 0, workflows: 0, tasks: 0 });
    expect(second.writes).toEqual({});
  });

  it('names every field that is wrong', async () => {
    const { answer } = await post({ overdueDays: 0, reason: '', limit: 'all' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path: field }: { path: string }) => field)).toEqual(['overdueDays', 'reason', 'limit']);
  });
});
