import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { DAY, daysAgo } from '@commons/backend/__tests__/helpers/days-ago.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { workflowFactory } from '@commons/backend/__tests__/helpers/factories/workflow-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { refusingWrites } from '@commons/backend/__tests__/helpers/refusing-writes.js';
import { databaseTime, rowsPerTransaction } from '@commons/backend/__tests__/helpers/rows-per-transaction.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilAQueryWaits, untilQueriesWait } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { startDischargeWorkflows } from '@commons/backend/jobs/start-discharge-workflows.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import type { Patient, Task } from '@commons/backend/models/tables.js';
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

/** A patient who was discharged so many days ago. */
const createDischarged = (days: number, columns: Parameters<typeof patientFactory.create>[0] = {}): Promise<Patient> =>
  patientFactory.create({ status: 'discharged', dischargedAt: daysAgo(days), ...columns });

/** Ids in their own order, which is that in which the job comes to them. */
const createSeveral = async (count: number): Promise<string[]> => {
  const patients = await knex('patient').insert(patientFactory.buildList(count, { status: 'discharged' })).returning<{ id: string }[]>('id');
  return patients.map(({ id }) => id).toSorted();
};

const withWorkflow = (): Promise<string[]> => knex('workflow').where({ status: 'open', type: 'discharge' }).orderBy('patientId').pluck('patientId');
const countTasks = async () => (await knex('task').pluck('id')).length;
const allWorkflows = () => knex('workflow').select('*', knex.raw('xmin::text, ctid::text')).orderBy('id');
/** Also a lock that was taken shows in xmax. */
const allPatients = () => knex('patient').select('*', knex.raw('xmin::text, xmax::text, ctid::text')).orderBy('id');

/** Has inserts of a patient's tasks refused while `work` goes on. */
const refusingTasksOf = <T>(patientId: string, work: () => Promise<T>): Promise<T> =>
  refusingWrites({ table: 'task', on: 'insert', when: `new."patientId" = '${patientId}'` }, work);

describe('startDischargeWorkflows', () => {
  it.each([
    ['no body', null],
    ['days in the future', { withinDays: -1 }],
    ['more than a year', { withinDays: 366 }],
    ['days as text', { withinDays: '7' }],
    ['a limit of none', { limit: 0 }],
    ['half a patient', { limit: 1.5 }],
    ['a flag as text', { isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(processInBatches).not.toHaveBeenCalled();
  });

  it('goes patient by patient, each in a transaction of its own', async () => {
    const ids = await createSeveral(4);
    const since = await databaseTime();
    await startDischargeWorkflows({ limit: 3 });
    expect(await rowsPerTransaction('workflow', since)).toEqual([1, 1, 1]);
    expect(await rowsPerTransaction('task', since)).toEqual([3, 3, 3]);
    expect(await withWorkflow()).toEqual(ids.slice(0, 3));
  });

  it('starts nothing when it cannot say who started it', async () => {
    await createSeveral(1);
    jest.mocked(findOrCreateAttributionUser).mockRejectedValueOnce(new Error('no users today'));
    await expect(startDischargeWorkflows({})).rejects.toMatchObject({ data: { processed: 1, succeeded: 0, failed: 1 } });
    expect(await withWorkflow()).toEqual([]);
  });

  it('starts a workflow with its tasks, due by the day of the discharge, and says who did it', async () => {
    const { id: patientId, dischargedAt } = await createDischarged(3);
    const dueIn = (days: number) => new Date(dischargedAt!.getTime() + days * DAY);
    await expect(startDischargeWorkflows({})).resolves.toEqual({
      isDryRun: false, processed: 1, succeeded: 1, failed: 0, withinDays: 7, limit: undefined, started: 1, tasks: 3, skipped: 0,
    });
    const { id: user } = await knex('user').where({ email: 'start-discharge-workflows@jobs.invalid' }).first();
    const attribution = { createdBy: user, updatedBy: user };
    const [workflow, ...others] = await knex('workflow');
    expect(others).toEqual([]);
    expect(workflow).toMatchObject({ patientId, type: 'discharge', status: 'open', priority: 'normal', dueAt: dueIn(30), ...attribution });
    const tasks = await knex<Task>('task').orderBy('dueAt');
    expect(tasks).toMatchObject([
      { title: 'Call the patient', dueAt: dueIn(2) },
      { title: 'Reconcile medications', dueAt: dueIn(7) },
      { title: 'Hold the follow-up visit', dueAt: dueIn(14) },
    ]);
    for (const task of tasks) expect(task).toMatchObject({ patientId, workflowId: workflow.id, status: 'open', ...attribution });
  });

  it('finds nothing left to do the second time, and leaves the patients as they are', async () => {
    const ids = await createSeveral(5);
    await expect(startDischargeWorkflows({})).resolves.toMatchObject({ started: 5 });
    const before = [await allWorkflows(), await allPatients()];
    await expect(startDischargeWorkflows({})).resolves.toMatchObject({ processed: 0, started: 0, tasks: 0, skipped: 0 });
    expect([await allWorkflows(), await allPatients()]).toEqual(before);
    expect(await withWorkflow()).toEqual(ids);
    expect(await knex('patient').whereNotNull('updatedBy')).toEqual([]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['was deleted', () => createDischarged(1, { deletedAt: new Date() })],
    ['was discharged too long ago', () => createDischarged(7.01)],
    ['is to be discharged some day', () => createDischarged(-1)],
    ['was discharged and is back', () => createDischarged(1, { status: 'active' })],
    ['has an open discharge workflow', async () => workflowFactory.create({ patientId: (await createDischarged(1)).id, type: 'discharge' })],
    [
      'has an open one from an earlier discharge',
      async () => workflowFactory.create({ patientId: (await createDischarged(1)).id, type: 'discharge', createdAt: daysAgo(100) }),
    ],
    ...(['completed', 'cancelled'] as const).map((status): [string, () => Promise<unknown>] => [
      `had one since the discharge, which was ${status}`,
      async () => workflowFactory.create({ patientId: (await createDischarged(2)).id, type: 'discharge', status, createdAt: daysAgo(1) }),
    ]),
  ])('starts nothing for a patient who %s', async (_what, create) => {
    await create();
    const before = [await allWorkflows(), await allPatients()];
    await expect(startDischargeWorkflows({})).resolves.toMatchObject({ processed: 0, started: 0, tasks: 0 });
    expect([await allWorkflows(), await allPatients()]).toEqual(before);
  });

  it.each<[string, object]>([
    ['an open workflow of another type', { type: 'onboarding' }],
    ['a closed one from an earlier discharge', { type: 'discharge', status: 'completed', createdAt: daysAgo(100) }],
  ])('starts one for a patient who has %s', async (_what, columns) => {
    const { id: patientId } = await createDischarged(1);
    await workflowFactory.create({ patientId, ...columns });
    await expect(startDischargeWorkflows({})).resolves.toMatchObject({ started: 1 });
    expect(await withWorkflow()).toEqual([patientId]);
  });

  it('goes back as many days as it is told to', async () => {
    const { id } = await createDischarged(20);
    await expect(startDischargeWorkflows({ withinDays: 19 })).resolves.toMatchObject({ started: 0 });
    await expect(startDischargeWorkflows({ withinDays: 21 })).resolves.toMatchObject({ started: 1 });
    expect(await withWorkflow()).toEqual([id]);
  });

  it.each([1, 3, 5])('starts %d when that is the limit, and the next run goes on', async (limit) => {
    const ids = await createSeveral(6);
    await expect(startDischargeWorkflows({ limit })).resolves.toMatchObject({ processed: limit, started: limit });
    expect(await withWorkflow()).toEqual(ids.slice(0, limit));
    await expect(startDischargeWorkflows({})).resolves.toMatchObject({ started: 6 - limit });
    expect(await withWorkflow()).toEqual(ids);
  });

  it('leaves a patient whose tasks cannot be made without a workflow, counts them as failed by the id, and goes on with the others', async () => {
    const ids = await createSeveral(4);
    const run = new TestRun();
    await expect(refusingTasksOf(ids[1]!, () => run.do(() => startDischargeWorkflows({})))).resolves.toMatchObject({
      processed: 4, succeeded: 3, failed: 1, started: 3, tasks: 9, skipped: 0,
    });
    expect(run.failures.map(({ key }) => key)).toEqual([ids[1]]);
    expect(await withWorkflow()).toEqual(ids.toSpliced(1, 1));
    await expect(startDischargeWorkflows({})).resolves.toMatchObject({ processed: 1, started: 1 });
    expect(await withWorkflow()).toEqual(ids);
    expect(await countTasks()).toBe(12);
  });

  it('starts each workflow once when two runs go at once', async () => {
    const ids = await createSeveral(40);
    const other = await knex.transaction();
    await other('patient').where({ id: ids[20]! }).forUpdate();
    const running = Promise.all([startDischargeWorkflows({}), startDischargeWorkflows({})]);
    await untilQueriesWait(2);
    await other.rollback();
    const results = await running;
    const sum = (key: 'started' | 'tasks' | 'failed') => results.reduce((total, result) => total + result[key], 0);
    expect([sum('started'), sum('tasks'), sum('failed')]).toEqual([40, 120, 0]);
    expect(await withWorkflow()).toEqual(ids);
    expect(await countTasks()).toBe(120);
  });

  it.each<[string, object]>([
    ['another run started one', {}],
    ['another run started one, which was closed at once', { status: 'completed' }],
  ])('waits for a patient who is being looked at, and skips them when %s', async (_what, columns) => {
    const [id] = await createSeveral(1);
    const other = await knex.transaction();
    await other('patient').where({ id }).forNoKeyUpdate().select('id');
    const running = startDischargeWorkflows({});
    await untilAQueryWaits();
    await other('workflow').insert(workflowFactory.build({ patientId: id!, type: 'discharge', ...columns }));
    await other.commit();
    await expect(running).resolves.toMatchObject({ processed: 1, succeeded: 1, failed: 0, started: 0, tasks: 0, skipped: 1 });
    expect(await allWorkflows()).toHaveLength(1);
    expect(await countTasks()).toBe(0);
  });

  it('skips a patient for whom somebody starts one by hand, which takes no lock on the patient', async () => {
    const [id] = await createSeveral(1);
    const byHand = await knex.transaction();
    await byHand('workflow').insert(workflowFactory.build({ type: 'discharge', patientId: id! }));
    const running = startDischargeWorkflows({});
    await untilAQueryWaits();
    await byHand.commit();
    await expect(running).resolves.toMatchObject({ processed: 1, failed: 0, started: 0, skipped: 1 });
    expect(await allWorkflows()).toHaveLength(1);
  });

  it('skips a patient who is deleted after it was found', async () => {
    const [id] = await createSeveral(1);
    const deleting = await knex.transaction();
    await deleting('patient').where({ id }).update({ deletedAt: new Date() });
    const running = startDischargeWorkflows({});
    await untilAQueryWaits();
    await deleting.commit();
    await expect(running).resolves.toMatchObject({ processed: 1, started: 0, skipped: 1 });
    expect(await allWorkflows()).toEqual([]);
  });

  it('stops between two patients when its run is to stop', async () => {
    const ids = await createSeveral(5);
    const run = new TestRun();
    jest.spyOn(run, 'progress').mockImplementation(() => run.controller.abort(new Error('the service stops')));
    await expect(run.do(() => startDischargeWorkflows({}))).rejects.toThrow('the service stops');
    expect(await withWorkflow()).toEqual(ids.slice(0, 1));
  });

  it('logs counts, and nothing of a patient', async () => {
    const { id } = await createDischarged(1, { firstName: 'S3cret', lastName: 'S3cret' });
    await createDischarged(1);
    await refusingTasksOf(id, () => startDischargeWorkflows({}));
    const logged = JSON.stringify([logger.log, logger.warn, logger.error, logger.debug].map((level) => jest.mocked(level).mock.calls));
    expect(logged).toContain('"failed":1');
    expect(logged).not.toContain('S3cret');
  });
});

describe('POST /jobs/start-discharge-workflows', () => {
  const { post } = jobOverHttp('start-discharge-workflows');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    await createSeveral(6);
    await createDischarged(1, { deletedAt: new Date() });
    const before = await allPatients();
    const counts = { processed: 6, succeeded: 6, failed: 0, withinDays: 7, started: 6, tasks: 18, skipped: 0 };

    const dry = await post({ isDryRun: true });
    expect(dry.answer.body).toEqual({ isDryRun: true, ...counts });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect([await allWorkflows(), await countTasks(), await knex('user')]).toEqual([[], 0, []]);
    expect(await allPatients()).toEqual(before);

    const real = await post({});
    expect(real.answer.body).toEqual({ isDryRun: false, ...counts });
    expect(real.writes).toEqual({ user: { insert: 1 }, workflow: { insert: 6 }, task: { insert: 18 } });

    const second = await post({});
    expect(second.answer.body).toMatchObject({ processed: 0, started: 0, tasks: 0 });
    expect(second.writes).toEqual({});
  });

  it('names every field that is wrong', async () => {
    const { answer } = await post({ withinDays: -1, limit: 'all' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path: field }: { path: string }) => field)).toEqual(['withinDays', 'limit']);
  });
});
