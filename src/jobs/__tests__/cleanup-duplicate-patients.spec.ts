import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { daysAgo } from '@commons/backend/__tests__/helpers/days-ago.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { taskFactory } from '@commons/backend/__tests__/helpers/factories/task-factory.js';
import { workflowFactory } from '@commons/backend/__tests__/helpers/factories/workflow-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilAQueryWaits, untilQueriesWait } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { cleanupDuplicatePatients } from '@commons/backend/jobs/cleanup-duplicate-patients.js';
import { carryOutMerge } from '@commons/backend/jobs/shared/merge-patients.js';
import knex from '@commons/backend/lib/knex.js';
import type { Patient, User } from '@commons/backend/models/tables.js';

jest.mock('@commons/backend/jobs/shared/merge-patients.js', () => {
  const actual = jest.requireActual('@commons/backend/jobs/shared/merge-patients.js');
  return { ...actual, carryOutMerge: jest.fn(actual.carryOutMerge) };
});

let made = 0;

type Columns = Parameters<typeof patientFactory.create>[0];

/** Somebody on record; each call's record is younger than those before it. */
const createPatient = async (columns: Columns = {}) =>
  (await patientFactory.create({ createdAt: new Date(Date.now() - 1_000_000 + ++made * 1_000), ...columns })).id;

/** The same person, so many times. @returns the ids, the oldest record first */
async function createDuplicates(count: number, columns: Columns = {}): Promise<string[]> {
  const person = { firstName: `Example ${++made}`, lastName: 'Person', birthDate: '1980-01-31', email: `example${made}@example.com`, phone: null, ...columns };
  const ids: string[] = [];
  while (ids.length < count) ids.push(await createPatient(person));
  return ids;
}

const createTask = async (columns: Parameters<typeof taskFactory.create>[0]) => (await taskFactory.create(columns)).id;
const createWorkflow = async (columns: Parameters<typeof workflowFactory.create>[0]) => (await workflowFactory.create(columns)).id;

const liveIds = (): Promise<string[]> => knex('patient').whereNull('deletedAt').orderBy(['createdAt', 'id']).pluck('id');
const allRows = async () => {
  const tables = ['user', 'patient', 'workflow', 'task'];
  return Promise.all(tables.map((table) => knex(table).select('*').orderBy('id')));
};

const nothing = { processed: 0, succeeded: 0, failed: 0, duplicates: 0, workflowsMoved: 0, workflowsCancelled: 0, tasksMoved: 0, toReview: 0, changed: 0, groups: [], review: [] };

beforeEach(async () => {
  jest.mocked(carryOutMerge).mockClear();
  await knex.raw('truncate "user", patient cascade');
});

describe('cleanupDuplicatePatients', () => {
  it.each([
    ['no body', null],
    ['a limit of none', { limit: 0 }],
    ['half a group', { limit: 1.5 }],
    ['a number as text', { limit: '10' }],
    ['a flag as text', { isDryRun: 'false' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
  });

  it('finds nothing to do where nobody is on record twice', async () => {
    for (let i = 0; i < 20; i++) await createPatient({ birthDate: '1980-01-31' });
    await expect(cleanupDuplicatePatients({})).resolves.toEqual({ isDryRun: false, limit: undefined, ...nothing });
  });

  it('keeps the oldest record, and deletes the others in its own name', async () => {
    const [kept, second, third] = await createDuplicates(3);
    const other = await createPatient();
    const before = await knex<Patient>('patient').where({ id: kept! }).first();
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({
      processed: 1, succeeded: 1, failed: 0, duplicates: 2,
      groups: [{ keptId: kept, duplicateIds: [second, third], workflowsMoved: 0, workflowsCancelled: 0, tasksMoved: 0 }],
    });
    expect(await liveIds()).toEqual([kept, other]);
    expect(await knex<Patient>('patient').where({ id: kept! }).first()).toEqual(before);
    const user = (await knex<User>('user').where({ email: 'cleanup-duplicate-patients@jobs.invalid' }).first())!;
    await expect(knex<Patient>('patient').where({ id: second! }).first()).resolves.toMatchObject({ deletedAt: expect.any(Date), deletedBy: user.id, updatedBy: user.id });
  });

  it('does not heed how a name is written', async () => {
    const ids = [
      await createDuplicates(1, { firstName: 'José-Luis', lastName: "O'Neil Núñez", email: 'a@example.com' }),
      await createDuplicates(1, { firstName: 'JOSÉ  LUIS'.normalize('NFD'), lastName: 'O’neil  nunez', email: 'A@example.com' }),
    ].flat();
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({ groups: [{ keptId: ids[0], duplicateIds: [ids[1]] }] });
  });

  it('leaves twins alone, and people who share no more than name and birth date', async () => {
    const contacts = { birthDate: '1980-01-31', lastName: 'Person', email: 'family@example.com', phone: '+12125550100', zipCode: '10001' };
    await createPatient({ ...contacts, firstName: 'Example' });
    await createPatient({ ...contacts, firstName: 'Instance' });
    const namesake = { firstName: 'Sample', lastName: 'Person', birthDate: '1980-01-31' };
    await createPatient({ ...namesake, email: 'a@example.com', phone: null, zipCode: null });
    await createPatient({ ...namesake, email: null, phone: '+12125550101', zipCode: null });
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject(nothing);
    expect(await liveIds()).toHaveLength(4);
  });

  it.each<[string, Columns, Columns]>([
    ['phone', { phone: '+12125550100' }, { phone: '+12125550101' }],
    ['zipCode', { zipCode: '10001' }, { zipCode: '10002' }],
    ['status', { status: 'active' }, { status: 'discharged', dischargedAt: daysAgo(1) }],
  ])('does not touch records that differ in %s, but lists them for a person to look at', async (fact, one, other) => {
    const person = { firstName: 'Example', email: 'example@example.com' };
    const ids = [await createDuplicates(1, { ...person, ...one }), await createDuplicates(1, { ...person, ...other })].flat();
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({ ...nothing, toReview: 1, review: [{ ids, differIn: [fact] }] });
    expect(await liveIds()).toEqual(ids);
  });

  it('does not see records that are deleted', async () => {
    const ids = await createDuplicates(2);
    await knex('patient').where({ id: ids[0] }).update({ deletedAt: new Date() });
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject(nothing);
  });

  it('finds groups of many birth dates, more of them than one query reads', async () => {
    await knex.raw(`
      insert into patient ("firstName", "lastName", "birthDate", phone)
      select 'Example', 'Person', date '1940-01-01' + day, '+12125550100'
      from generate_series(1, 250) day, generate_series(1, 2)`);
    const result = await cleanupDuplicatePatients({});
    expect(result).toMatchObject({ processed: 250, duplicates: 250, toReview: 0 });
    expect(result.groups).toHaveLength(100);
    expect(await liveIds()).toHaveLength(250);
  });

  it.each([1, 3, 4, 5])('merges %d groups at most when that is the limit', async (limit) => {
    for (let i = 0; i < 4; i++) await createDuplicates(2, { birthDate: `198${i}-01-31` });
    const merged = Math.min(limit, 4);
    await expect(cleanupDuplicatePatients({ limit })).resolves.toMatchObject({ processed: merged, duplicates: merged });
    expect(await liveIds()).toHaveLength(8 - merged);
  });
});

describe('what a duplicate has', () => {
  it('goes to the patient who is kept: workflows and tasks, whatever became of them', async () => {
    const [kept, duplicate] = await createDuplicates(2);
    const workflows = [
      await createWorkflow({ patientId: duplicate, type: 'care_gap' }),
      await createWorkflow({ patientId: duplicate, type: 'care_gap', status: 'completed' }),
      await createWorkflow({ patientId: duplicate, type: 'discharge', status: 'cancelled' }),
    ];
    const tasks = [
      await createTask({ patientId: duplicate, workflowId: workflows[0] }),
      await createTask({ patientId: duplicate, status: 'done' }),
      await createTask({ patientId: duplicate, deletedAt: daysAgo(1) }),
    ];
    const untouched = await createTask({});
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({ workflowsMoved: 3, workflowsCancelled: 0, tasksMoved: 3 });
    await expect(knex('workflow').where({ patientId: kept }).orderBy('createdAt').pluck('id')).resolves.toEqual(workflows);
    await expect(knex('task').where({ patientId: kept }).orderBy('createdAt').pluck('id')).resolves.toEqual(tasks);
    await expect(knex('task').where({ id: tasks[0] }).first()).resolves.toMatchObject({ workflowId: workflows[0], updatedBy: expect.any(String) });
    await expect(knex('task').where({ id: untouched }).first()).resolves.toMatchObject({ updatedBy: null });
  });

  it('is cancelled with a reason where the kept patient has an open workflow of the type, and its open tasks go on in that', async () => {
    const [kept, duplicate] = await createDuplicates(2);
    const older = await createWorkflow({ patientId: duplicate, createdAt: daysAgo(9) });
    const own = await createWorkflow({ patientId: kept, createdAt: daysAgo(1) });
    const open = await createTask({ patientId: duplicate, workflowId: older });
    const done = await createTask({ patientId: duplicate, workflowId: older, status: 'done' });
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({ workflowsMoved: 1, workflowsCancelled: 1, tasksMoved: 2 });
    await expect(knex('workflow').where({ id: own }).first()).resolves.toMatchObject({ status: 'open', patientId: kept, updatedBy: null });
    await expect(knex('workflow').where({ id: older }).first()).resolves.toMatchObject({
      status: 'cancelled', patientId: kept, closedAt: expect.any(Date), cancelReason: `The patient was a duplicate, and workflow ${own} of the same type goes on`,
    });
    await expect(knex('task').where({ id: open }).first()).resolves.toMatchObject({ status: 'open', workflowId: own, patientId: kept });
    await expect(knex('task').where({ id: done }).first()).resolves.toMatchObject({ workflowId: older, patientId: kept });
  });

  it('is cancelled where an older duplicate has an open workflow of the type', async () => {
    const [kept, second, third] = await createDuplicates(3);
    const younger = await createWorkflow({ patientId: second, createdAt: daysAgo(1) });
    const older = await createWorkflow({ patientId: third, createdAt: daysAgo(2) });
    const otherType = await createWorkflow({ patientId: third, type: 'care_gap' });
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({ workflowsMoved: 3, workflowsCancelled: 1 });
    await expect(knex('workflow').where({ patientId: kept, status: 'open' }).orderBy('createdAt').pluck('id')).resolves.toEqual([older, otherType]);
    await expect(knex('workflow').where({ id: younger }).first()).resolves.toMatchObject({ status: 'cancelled' });
  });
});

describe('a group that cannot be merged', () => {
  it('is taken back as a whole, kept with the run by the id of its oldest record, and does not stop the others', async () => {
    const [first, second, third] = [await createDuplicates(2), await createDuplicates(2), await createDuplicates(2)];
    await createTask({ patientId: second[1] });
    const actual = jest.mocked(carryOutMerge).getMockImplementation()!;
    jest.mocked(carryOutMerge).mockImplementationOnce(actual).mockImplementationOnce(async (...call) => {
      await actual(...call);
      throw new Error('the database stumbled');
    });
    const run = new TestRun();
    await expect(run.do(() => cleanupDuplicatePatients({}))).resolves.toMatchObject({ processed: 3, succeeded: 2, failed: 1, duplicates: 2, tasksMoved: 0 });
    expect(await liveIds()).toEqual([first[0], ...second, third[0]]);
    expect(run.failures).toEqual([{ key: second[0], error: new Error('the database stumbled') }]);
    await expect(cleanupDuplicatePatients({})).resolves.toMatchObject({ processed: 1, succeeded: 1, tasksMoved: 1 });
  });

  it('is left alone when one of its patients has changed since it was found', async () => {
    const [, duplicate] = await createDuplicates(2);
    const changing = await knex.transaction();
    await changing('patient').where({ id: duplicate }).update({ lastName: 'Another' });
    const cleaning = cleanupDuplicatePatients({});
    await untilAQueryWaits();
    await changing.commit();
    await expect(cleaning).resolves.toMatchObject({ processed: 1, succeeded: 1, failed: 0, duplicates: 0, changed: 1 });
    expect(await liveIds()).toHaveLength(2);
  });

  it('gets no new task while it is merged', async () => {
    const [kept, duplicate] = await createDuplicates(2);
    let starting: Promise<unknown> | undefined;
    const actual = jest.mocked(carryOutMerge).getMockImplementation()!;
    jest.mocked(carryOutMerge).mockImplementationOnce(async (...call) => {
      starting = knex('task').insert({ patientId: duplicate, title: 'Call' }).then();
      await untilAQueryWaits();
      return actual(...call);
    });
    await cleanupDuplicatePatients({});
    await starting;
    expect(await liveIds()).toEqual([kept]);
  });
});

describe('two runs at once', () => {
  it('merge every group once', async () => {
    const duplicates: string[] = [];
    for (let i = 0; i < 20; i++) {
      const [, duplicate] = await createDuplicates(3);
      await createTask({ patientId: duplicate });
      duplicates.push(duplicate!);
    }
    const other = await knex.transaction();
    await other('patient').where({ id: duplicates[10]! }).forUpdate();
    const running = Promise.all([1, 2].map(() => cleanupDuplicatePatients({})));
    await untilQueriesWait(2);
    await other.rollback();
    const results = await running;
    expect(results.reduce((sum, { duplicates }) => sum + duplicates, 0)).toBe(40);
    expect(results.reduce((sum, { tasksMoved }) => sum + tasksMoved, 0)).toBe(20);
    expect(await liveIds()).toHaveLength(20);
  });
});

describe('POST /jobs/cleanup-duplicate-patients', () => {
  const { post } = jobOverHttp('cleanup-duplicate-patients');

  it('reports in a dry run the same groups and counts as the real one, and writes nothing; a second one finds nothing left to do', async () => {
    const [kept, duplicate, third] = await createDuplicates(3);
    const own = await createWorkflow({ patientId: kept });
    await createWorkflow({ patientId: duplicate });
    await createWorkflow({ patientId: third, type: 'care_gap' });
    await createTask({ patientId: duplicate });
    await createDuplicates(2, { birthDate: '1990-01-31' });
    const person = { firstName: 'Sample', email: 'sample@example.com' };
    await createDuplicates(1, { ...person, zipCode: '10001' });
    await createDuplicates(1, { ...person, zipCode: '10002' });
    const before = await allRows();

    const dry = await post({ isDryRun: true });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);

    const real = await post({});
    expect(real.answer.body).toEqual({ ...dry.answer.body, isDryRun: false });
    expect(real.answer.body).toMatchObject({
      processed: 2, succeeded: 2, failed: 0, duplicates: 3, workflowsMoved: 2, workflowsCancelled: 1, tasksMoved: 1, toReview: 1,
      groups: [{ keptId: kept, duplicateIds: [duplicate, third], workflowsMoved: 2, workflowsCancelled: 1, tasksMoved: 1 }, { duplicateIds: [expect.any(String)] }],
    });
    expect(real.writes).toMatchObject({ user: { insert: 1 }, patient: { update: 3 } });
    await expect(knex('workflow').where({ patientId: kept, status: 'open', type: 'onboarding' }).pluck('id')).resolves.toEqual([own]);

    const second = await post({});
    expect(second.answer.body).toMatchObject({ processed: 0, groups: [], toReview: 1 });
    expect(second.writes).toEqual({});
  });

  it('says nothing of a patient but ids', async () => {
    await createDuplicates(2, { firstName: 'Canary', lastName: 'Canary', email: 'canary@example.com', zipCode: '10001', phone: '+12125550123' });
    await createDuplicates(1, { firstName: 'Canary', lastName: 'Wren', email: 'canary@example.com', phone: '+12125550123' });
    await createDuplicates(1, { firstName: 'Canary', lastName: 'Wren', email: 'canary@example.com', phone: '+12125550124' });
    const { answer, run } = await post({});
    expect(answer.body).toMatchObject({ processed: 1, toReview: 1 });
    const { rows } = await knex.raw('select message, data from batch_job_run_log where "runId" = ?', [run.id]);
    expect(JSON.stringify([answer.body, run, rows])).not.toMatch(/canary|wren|5550123|1980-01/i);
  });
});
