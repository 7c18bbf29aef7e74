import { randomUUID } from 'node:crypto';
import path from 'node:path';
import request from 'supertest';
import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { taskFactory } from '@commons/backend/__tests__/helpers/factories/task-factory.js';
import { userFactory } from '@commons/backend/__tests__/helpers/factories/user-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { testApp, testRegistry } from '@commons/backend/__tests__/helpers/test-app.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilQueriesWait } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { bulkTaskDelete } from '@commons/backend/jobs/bulk-task-delete.js';
import { softDeleteTasks } from '@commons/backend/jobs/shared/soft-delete-tasks.js';
import type { Caller } from '@commons/backend/lib/auth/callers.js';
import * as envConfig from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import type { Task, User } from '@commons/backend/models/tables.js';

jest.mock('@commons/backend/jobs/shared/soft-delete-tasks.js', () => {
  const actual = jest.requireActual('@commons/backend/jobs/shared/soft-delete-tasks.js');
  return { softDeleteTasks: jest.fn(actual.softDeleteTasks) };
});

let user: User;
let patientId: string;

beforeEach(async () => {
  jest.mocked(softDeleteTasks).mockClear();
  await knex.raw('truncate "user", patient cascade');
  user = await userFactory.create();
  patientId = (await patientFactory.create()).id;
});

/** Ids in their own order, which is the order of the chunks where they are asked for in it. */
const createTasks = async (count: number) => {
  const tasks = await knex('task').insert(taskFactory.buildList(count, { patientId })).returning('id');
  return tasks.map(({ id }: Pick<Task, 'id'>) => id).toSorted();
};

const bodyFor = (taskIds: string[], others: object = {}) => ({ taskIds, requestedBy: user.id, reason: 'entered twice', ...others });

const deletedIds = (): Promise<string[]> => knex('task').whereNotNull('deletedAt').orderBy('id').pluck('id');
const allRows = () => knex('task').select('*').orderBy('id');

describe('bulkTaskDelete', () => {
  const id = randomUUID();
  const valid = { taskIds: [id], requestedBy: id, reason: 'entered twice' };

  it.each([
    ['no body', null],
    ['no tasks', { ...valid, taskIds: [] }],
    ['more than 500 tasks', { ...valid, taskIds: Array.from({ length: 501 }, () => randomUUID()) }],
    ['a task that is named twice', { ...valid, taskIds: [id, id] }],
    ['a task that is named twice, in other letters', { ...valid, taskIds: [id, id.toUpperCase()] }],
    ['an id that is none', { ...valid, taskIds: ['1'] }],
    ['one id in place of a list', { ...valid, taskIds: id }],
    ['somebody who is neither an id nor an address', { ...valid, requestedBy: 'me' }],
    ['no reason', { ...valid, reason: undefined }],
    ['a blank reason', { ...valid, reason: '  ' }],
    ['a reason without end', { ...valid, reason: 'x'.repeat(501) }],
    ['a flag as text', { ...valid, isDryRun: 'false' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
  });

  it('refuses a user who is not there, before it deletes anything', async () => {
    const ids = await createTasks(1);
    for (const requestedBy of [randomUUID(), 'nobody@example.com', undefined]) {
      await expect(bulkTaskDelete(bodyFor(ids, { requestedBy }))).rejects.toMatchObject({ status: 422 });
    }
    expect(await deletedIds()).toEqual([]);
  });

  it('deletes the tasks of the list and no other, and says who did it, when and why', async () => {
    const [first, second, other] = await createTasks(3);
    await expect(bulkTaskDelete(bodyFor([first!, second!]))).resolves.toEqual({
      isDryRun: false, requested: 2, processed: 2, succeeded: 2, failed: 0, deleted: 2, alreadyDeleted: 0, notFound: 0,
    });
    expect(await deletedIds()).toEqual([first, second]);
    const task = (await knex<Task>('task').where({ id: first! }).first())!;
    expect(task).toMatchObject({ deletedBy: user.id, deleteReason: 'entered twice', updatedBy: user.id, status: 'open' });
    expect(task.deletedAt).toEqual(task.updatedAt);
    await expect(knex<Task>('task').where({ id: other! }).first()).resolves.toMatchObject({ deletedBy: null, deleteReason: null, updatedBy: null });
  });

  it('takes the user by e-mail address too, and ids in whatever letters', async () => {
    const [id] = await createTasks(1);
    await expect(bulkTaskDelete(bodyFor([id!.toUpperCase()], { requestedBy: user.email.toUpperCase() }))).resolves.toMatchObject({ deleted: 1 });
    await expect(knex('task').where({ id }).first()).resolves.toMatchObject({ deletedBy: user.id });
  });

  it('counts what was deleted before as succeeded, and leaves it as it is', async () => {
    const ids = await createTasks(2);
    await bulkTaskDelete(bodyFor(ids));
    const before = await allRows();
    const later = await userFactory.create();
    await expect(bulkTaskDelete(bodyFor(ids, { requestedBy: later.id, reason: 'another' }))).resolves.toMatchObject({
      succeeded: 2, failed: 0, deleted: 0, alreadyDeleted: 2,
    });
    expect(await allRows()).toEqual(before);
  });

  it('counts ids of no task as failed, and keeps them with the run', async () => {
    const [id] = await createTasks(1);
    const [unknown, run] = [randomUUID(), new TestRun()];
    await expect(run.do(() => bulkTaskDelete(bodyFor([unknown, id!])))).resolves.toMatchObject({
      requested: 2, succeeded: 1, failed: 1, deleted: 1, notFound: 1,
    });
    expect(run.failures).toMatchObject([{ key: unknown, error: { message: 'there is no such task' } }]);
    expect(run.reports.at(-1)).toMatchObject({ processed: 2, succeeded: 1, failed: 1 });
  });

  it('answers for a list of which no task is there; it fails where no chunk could be deleted', async () => {
    await expect(bulkTaskDelete(bodyFor([randomUUID()]))).resolves.toMatchObject({ processed: 1, succeeded: 0, failed: 1, notFound: 1 });
    const ids = await createTasks(2);
    jest.mocked(softDeleteTasks).mockRejectedValueOnce(new Error('the database stumbled'));
    await expect(bulkTaskDelete(bodyFor(ids))).rejects.toMatchObject({ status: 500, data: { processed: 2, succeeded: 0, failed: 2, notFound: 0 } });
    expect(await deletedIds()).toEqual([]);
  });

  it('deletes in chunks of 50', async () => {
    const ids = await createTasks(120);
    await expect(bulkTaskDelete(bodyFor(ids))).resolves.toMatchObject({ requested: 120, deleted: 120 });
    expect(jest.mocked(softDeleteTasks).mock.calls.map(([, chunk]) => chunk.length)).toEqual([50, 50, 20]);
  });

  it('takes back a chunk that fails, and goes on with the others', async () => {
    const ids = await createTasks(150);
    const actual = jest.mocked(softDeleteTasks).getMockImplementation()!;
    jest.mocked(softDeleteTasks)
      .mockImplementationOnce(actual)
      .mockImplementationOnce(async (...call) => {
        await actual(...call);
        throw new Error('the database stumbled');
      });
    const run = new TestRun();
    await expect(run.do(() => bulkTaskDelete(bodyFor(ids)))).resolves.toMatchObject({
      requested: 150, processed: 150, succeeded: 100, failed: 50, deleted: 100, notFound: 0,
    });
    expect(await deletedIds()).toEqual([...ids.slice(0, 50), ...ids.slice(100)]);
    expect(run.failures.map(({ key }) => key)).toEqual(ids.slice(50, 100));
    await expect(bulkTaskDelete(bodyFor(ids))).resolves.toMatchObject({ succeeded: 150, failed: 0, deleted: 50, alreadyDeleted: 100 });
  });

  it('stops between two chunks when its run is to stop', async () => {
    const ids = await createTasks(100);
    const run = new TestRun();
    jest.spyOn(run, 'progress').mockImplementation(() => run.controller.abort(new Error('the service stops')));
    await expect(run.do(() => bulkTaskDelete(bodyFor(ids)))).rejects.toThrow('the service stops');
    expect(await deletedIds()).toEqual(ids.slice(0, 50));
  });

  it('deletes a task once when two lists that hold it come at once, in opposite orders', async () => {
    const ids = await createTasks(200);
    const other = await knex.transaction();
    await other('task').where({ id: ids[100]! }).forUpdate();
    const running = Promise.all([ids, ids.toReversed()].map((list) => bulkTaskDelete(bodyFor(list))));
    await untilQueriesWait(2);
    await other.rollback();
    const results = await running;
    const sum = (key: 'deleted' | 'alreadyDeleted' | 'failed') => results.reduce((total, result) => total + result[key], 0);
    expect([sum('deleted'), sum('alreadyDeleted'), sum('failed')]).toEqual([200, 200, 0]);
  });
});

describe('POST /jobs/bulk-task-delete', () => {
  const { post } = jobOverHttp('bulk-task-delete');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    const ids = await createTasks(60);
    await knex('task').where({ id: ids[0] }).update({ deletedAt: new Date() });
    const before = await allRows();
    const body = bodyFor([...ids, randomUUID()]);
    const counts = { requested: 61, processed: 61, succeeded: 60, failed: 1, deleted: 59, alreadyDeleted: 1, notFound: 1 };

    const dry = await post({ ...body, isDryRun: true });
    expect(dry.answer.body).toEqual({ isDryRun: true, ...counts });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);

    const real = await post(body);
    expect(real.answer.body).toEqual({ isDryRun: false, ...counts });
    expect(real.writes).toEqual({ task: { update: 59 } });

    const second = await post(body);
    expect(second.answer.body).toMatchObject({ succeeded: 60, deleted: 0, alreadyDeleted: 60 });
    expect(second.writes).toEqual({});
  });

  it('names every field that is wrong', async () => {
    const { answer } = await post({ taskIds: ['1'], requestedBy: 'me', reason: '' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path: field }: { path: string }) => field)).toEqual(['taskIds.0', 'requestedBy', 'reason']);
  });
});

describe('in whose name a caller deletes, with AUTH=google', () => {
  const CALLER = 'caller@example.com';
  const authenticate = async (): Promise<Caller> => ({ email: CALLER, isVerified: true, permissions: ['run', 'read'] });
  const app = testApp(testRegistry(path.resolve(__dirname, '..')), { authenticate, isLocal: false });
  const post = (body: object, url = '/jobs/bulk-task-delete') => request(app).post(url).send(body);

  beforeEach(() => {
    const config = envConfig.envConfig();
    jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...config, auth: { ...config.auth, mode: 'google' } });
  });
  afterEach(() => void jest.restoreAllMocks());

  it('is in their own, whether the body says so or nothing', async () => {
    const caller = await userFactory.create({ email: CALLER });
    const ids = await createTasks(3);
    for (const [at, requestedBy] of [undefined, CALLER.toUpperCase(), caller.id].entries()) {
      const answer = await post(bodyFor([ids[at]!], { requestedBy }));
      expect([answer.status, answer.body.deleted]).toEqual([200, 1]);
    }
    expect(await knex('task').distinct('deletedBy', 'updatedBy')).toEqual([{ deletedBy: caller.id, updatedBy: caller.id }]);
  });

  it.each([['an id', () => user.id], ['an e-mail address', () => user.email], ['nobody\'s id', randomUUID]])("is not another's: %s", async (_, requestedBy) => {
    await userFactory.create({ email: CALLER });
    const answer = await post(bodyFor(await createTasks(1), { requestedBy: requestedBy() }));
    expect([answer.status, answer.body.detail]).toEqual([403, expect.stringContaining('another user than the one who calls')]);
    expect(await deletedIds()).toEqual([]);
  });

  it('is nobody\'s when the caller is no user, whomever the body names', async () => {
    for (const requestedBy of [user.id, undefined]) {
      const answer = await post(bodyFor(await createTasks(1), { requestedBy }));
      expect([answer.status, answer.body.detail]).toEqual([403, expect.stringContaining('no user')]);
    }
    expect(await deletedIds()).toEqual([]);
  });

  it('is the own one of whoever starts a run of the terminal again', async () => {
    const [id] = await createTasks(1);
    const job = testRegistry(path.resolve(__dirname, '..')).find('bulk-task-delete')!;
    jest.mocked(softDeleteTasks).mockRejectedValueOnce(new Error('the database stumbled'));
    const first = await runJob(job, { trigger: 'cli', body: bodyFor([id!]), by: { name: 'root', isVerified: false, source: undefined } });
    await knex('batch_job_run').where({ id: first.id }).update({ status: 'failed' });
    await userFactory.create({ email: CALLER });
    const again = await post({}, `/runs/${first.id}/retry`);
    expect([again.status, await deletedIds()]).toEqual([403, []]);
  });

  it('is whose the terminal says: whoever is there has the database', async () => {
    const [id] = await createTasks(1);
    const job = testRegistry(path.resolve(__dirname, '..')).find('bulk-task-delete')!;
    await runJob(job, { trigger: 'cli', body: bodyFor([id!]), by: { name: 'root', isVerified: false, source: undefined } });
    expect(await knex('task').where({ id }).first()).toMatchObject({ deletedBy: user.id });
  });
});
