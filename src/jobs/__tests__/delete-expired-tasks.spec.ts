import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { daysAgo } from '@commons/backend/__tests__/helpers/days-ago.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { taskFactory } from '@commons/backend/__tests__/helpers/factories/task-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilAQueryWaits, untilQueriesWait } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { deleteExpiredTasks } from '@commons/backend/jobs/delete-expired-tasks.js';
import { softDeleteTasks } from '@commons/backend/jobs/shared/soft-delete-tasks.js';
import knex from '@commons/backend/lib/knex.js';
import type { Task, User } from '@commons/backend/models/tables.js';

jest.mock('@commons/backend/jobs/shared/soft-delete-tasks.js', () => {
  const actual = jest.requireActual('@commons/backend/jobs/shared/soft-delete-tasks.js');
  return { softDeleteTasks: jest.fn(actual.softDeleteTasks) };
});

let patientId: string;

beforeEach(async () => {
  jest.mocked(softDeleteTasks).mockClear();
  await knex.raw('truncate "user", patient cascade');
  patientId = (await patientFactory.create()).id;
});

/** @returns the id of a task that expired `days` ago */
const createExpired = async (days: number, columns: Partial<Task> = {}) => (await taskFactory.create({ patientId, expiresAt: daysAgo(days), ...columns })).id;

/** @returns the ids of tasks that expired so many days ago, in the order in which they are deleted */
async function createAllExpired(count: number) {
  const ids: string[] = [];
  while (ids.length < count) ids.push(await createExpired(100 - ids.length));
  return ids;
}

const deletedIds = (): Promise<string[]> => knex('task').whereNotNull('deletedAt').orderBy(['expiresAt', 'id']).pluck('id');
const allRows = () => knex('task').select('*').orderBy('id');

describe('deleteExpiredTasks', () => {
  it.each([
    ['no body', null],
    ['a grace that ends before the expiry', { graceDays: -1 }],
    ['half a day', { graceDays: 0.5 }],
    ['a batch of none', { batchSize: 0 }],
    ['a limit of none', { limit: 0 }],
    ['a number as text', { limit: '10' }],
    ['a flag as text', { isDryRun: 'false' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
  });

  it('deletes open tasks that have expired, in its own name', async () => {
    const id = await createExpired(1);
    await expect(deleteExpiredTasks({})).resolves.toEqual({
      isDryRun: false, processed: 1, succeeded: 1, failed: 0, graceDays: 0, batchSize: 1_000, limit: undefined,
    });
    const user = (await knex<User>('user').where({ email: 'delete-expired-tasks@jobs.invalid' }).first())!;
    await expect(knex('task').where({ id }).first()).resolves.toMatchObject({
      deletedAt: expect.any(Date), deletedBy: user.id, deleteReason: 'expired', updatedBy: user.id, status: 'open',
    });
  });

  it.each<[string, Partial<Task>]>([
    ['expires later', { expiresAt: daysAgo(-1) }],
    ['never expires', { expiresAt: null }],
    ['is done', { status: 'done' }],
    ['is cancelled', { status: 'cancelled' }],
    ['is deleted already', { deletedAt: daysAgo(10), deleteReason: 'entered twice' }],
  ])('leaves a task alone that %s', async (_what, columns) => {
    await createExpired(1, columns);
    const before = await allRows();
    await expect(deleteExpiredTasks({})).resolves.toMatchObject({ processed: 0 });
    expect(await allRows()).toEqual(before);
  });

  it.each([[0, 3], [5, 2], [6, 1], [100, 0]])('leaves a task a grace of %d days', async (graceDays, deleted) => {
    for (const days of [1, 5.5, 7]) await createExpired(days);
    await expect(deleteExpiredTasks({ graceDays, isDryRun: true })).resolves.toMatchObject({ processed: deleted });
    await expect(deleteExpiredTasks({ graceDays })).resolves.toMatchObject({ graceDays, processed: deleted });
    expect(await deletedIds()).toHaveLength(deleted);
  });

  it.each([1, 4, 5, 6, 100])('deletes %d tasks at most when that is the limit, the longest expired first', async (limit) => {
    const ids = await createAllExpired(7);
    const deleted = Math.min(limit, 7);
    await expect(deleteExpiredTasks({ limit, batchSize: 2 })).resolves.toMatchObject({ processed: deleted, succeeded: deleted });
    expect(await deletedIds()).toEqual(ids.slice(0, deleted));
  });

  it('deletes in batches, also tasks that expired at the same moment', async () => {
    const expiresAt = daysAgo(1);
    await knex('task').insert(taskFactory.buildList(25, { patientId, expiresAt }));
    await expect(deleteExpiredTasks({ batchSize: 10 })).resolves.toMatchObject({ processed: 25, succeeded: 25 });
    expect(jest.mocked(softDeleteTasks).mock.calls.map(([, ids]) => ids.length)).toEqual([10, 10, 5]);
  });

  it('passes over a task that cannot be deleted, keeps it with the run, and deletes the others', async () => {
    const ids = await createAllExpired(9);
    const actual = jest.mocked(softDeleteTasks).getMockImplementation()!;
    const run = new TestRun();
    try {
      jest.mocked(softDeleteTasks).mockImplementation((trx, batch, ...rest) => {
        if (batch.includes(ids[3]!)) throw new Error('not this one');
        return actual(trx, batch, ...rest);
      });
      await expect(run.do(() => deleteExpiredTasks({ batchSize: 4 }))).resolves.toMatchObject({ processed: 9, succeeded: 8, failed: 1 });
    } finally {
      jest.mocked(softDeleteTasks).mockImplementation(actual);
    }
    expect(await deletedIds()).toEqual(ids.filter((_id, place) => place !== 3));
    expect(run.failures).toEqual([{ key: [expect.any(String), ids[3]], error: new Error('not this one') }]);
    await expect(deleteExpiredTasks({})).resolves.toMatchObject({ processed: 1, succeeded: 1 });
  });

  it('leaves a task alone that is completed while it waits for it', async () => {
    const [completed, ...others] = await createAllExpired(3);
    const completing = await knex.transaction();
    await completing('task').where({ id: completed }).update({ status: 'done' });
    const deleting = deleteExpiredTasks({});
    await untilAQueryWaits();
    await completing.commit();
    await expect(deleting).resolves.toMatchObject({ processed: 2, succeeded: 2 });
    expect(await deletedIds()).toEqual(others);
  });

  it('deletes a task once when two runs come at once', async () => {
    await knex('task').insert(taskFactory.buildList(60, { patientId, expiresAt: daysAgo(1) }));
    const ids: string[] = await knex('task').orderBy('id').pluck('id');
    const other = await knex.transaction();
    await other('task').where({ id: ids[30]! }).forUpdate();
    const running = Promise.all([1, 2].map(() => deleteExpiredTasks({ batchSize: 7 })));
    await untilQueriesWait(2);
    await other.rollback();
    const results = await running;
    expect(results.map(({ failed }) => failed)).toEqual([0, 0]);
    expect(results.reduce((sum, { succeeded }) => sum + succeeded, 0)).toBe(60);
  });
});

describe('POST /jobs/delete-expired-tasks', () => {
  const { post } = jobOverHttp('delete-expired-tasks');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    await createAllExpired(5);
    await createExpired(1, { status: 'done' });
    const before = await allRows();
    const counts = { processed: 5, succeeded: 5, failed: 0 };

    const dry = await post({ isDryRun: true, batchSize: 2 });
    expect(dry.answer.body).toEqual({ isDryRun: true, ...counts, graceDays: 0, batchSize: 2 });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);
    await expect(knex('user').count()).resolves.toEqual([{ count: '0' }]);

    const real = await post({ batchSize: 2 });
    expect(real.answer.body).toMatchObject({ isDryRun: false, ...counts });
    expect(real.writes).toEqual({ user: { insert: 1 }, task: { update: 5 } });

    const second = await post({ batchSize: 2 });
    expect(second.answer.body).toMatchObject({ processed: 0 });
    expect(second.writes).toEqual({});
  });
});
