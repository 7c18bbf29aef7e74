import knex from '@commons/backend/lib/knex.js';
import { isNpi } from '@commons/backend/models/seed/npi.js';
import { buildRequest } from '../helpers/build-request.js';
import { batchJobFactory } from '../helpers/factories/batch-job-factory.js';
import { batchJobRunFactory } from '../helpers/factories/batch-job-run-factory.js';
import { clinicianMappingFactory } from '../helpers/factories/clinician-mapping-factory.js';
import { marketFactory } from '../helpers/factories/market-factory.js';
import { memberSignalFactory } from '../helpers/factories/member-signal-factory.js';
import { patientFactory } from '../helpers/factories/patient-factory.js';
import { taskFactory } from '../helpers/factories/task-factory.js';
import { userFactory } from '../helpers/factories/user-factory.js';
import { workflowFactory } from '../helpers/factories/workflow-factory.js';
import { zipCodeFactory } from '../helpers/factories/zip-code-factory.js';

const FACTORIES = {
  market: marketFactory,
  user: userFactory,
  patient: patientFactory,
  workflow: workflowFactory,
  task: taskFactory,
  zip_code: zipCodeFactory,
  member_signal: memberSignalFactory,
  clinician_mapping: clinicianMappingFactory,
  batch_job: batchJobFactory,
  batch_job_run: batchJobRunFactory,
};

/** A factory without its row's type. */
interface AnyFactory {
  build(): object;
  createList(count: number): Promise<object[]>;
}

describe.each(Object.entries(FACTORIES) as [string, AnyFactory][])('the factory of %s', (table, factory) => {
  it('creates rows that collide in no unique column, and gives them back whole', async () => {
    const rows = await factory.createList(120);
    const columns = Object.keys(await knex(table).columnInfo());
    expect(rows).toHaveLength(120);
    expect(Object.keys(rows[0]!).toSorted()).toEqual(columns.toSorted());
    expect(await knex(table)).toEqual(expect.arrayContaining(rows));
  });

  it('builds without inserting, and only what the table has columns for', async () => {
    const count = async () => (await knex(table).count('* as rows').first())!.rows as unknown;
    const before = await count();
    const columns = Object.keys(await knex(table).columnInfo());
    expect(Object.keys(factory.build()).filter((column) => !columns.includes(column))).toEqual([]);
    expect(await count()).toBe(before);
  });
});

it('there is a factory for every table but those that the service alone writes', async () => {
  const { rows }: { rows: { table: string }[] } = await knex.raw(`select table_name as "table" from information_schema.tables where table_schema = 'public'`);
  const own = /^knex_|^batch_job_run_|^audit_event$/;
  expect(rows.map(({ table }) => table).filter((table) => !own.test(table)).toSorted()).toEqual(Object.keys(FACTORIES).toSorted());
});

describe('what is made for a row that names no others', () => {
  it('is a patient for a workflow and for a task, and a user for a mapping', async () => {
    const [workflow, task, mapping] = await Promise.all([workflowFactory.create(), taskFactory.create(), clinicianMappingFactory.create()]);
    expect(await knex('patient').whereIn('id', [workflow.patientId, task.patientId])).toHaveLength(2);
    expect(await knex('user').where({ id: mapping.userId })).toMatchObject([{ email: mapping.email, role: 'clinician' }]);
  });

  it('is nothing where they are named: a task takes the patient of its workflow', async () => {
    const workflow = await workflowFactory.create();
    const before = await knex('patient');
    const task = await taskFactory.create({ workflowId: workflow.id });
    expect(task.patientId).toBe(workflow.patientId);
    expect(await taskFactory.create({ patientId: workflow.patientId })).toMatchObject({ patientId: workflow.patientId, workflowId: null });
    expect(await knex('patient')).toHaveLength(before.length);
  });
});

it('columns that are given are taken as they are: null, a Date, SQL, text for a date', async () => {
  const dischargedAt = new Date('2026-01-02T03:04:05Z');
  const patient = await patientFactory.create({ zipCode: null, status: 'discharged', dischargedAt, birthDate: '1980-02-29', deletedAt: knex.raw('now()') });
  expect(patient).toMatchObject({ zipCode: null, status: 'discharged', dischargedAt, deletedAt: expect.any(Date) });
  expect(await knex('patient').where({ id: patient.id }).select(knex.raw(`"birthDate"::text`))).toEqual([{ birthDate: '1980-02-29' }]);
});

it('what a state needs comes with it', async () => {
  expect((await patientFactory.create({ status: 'discharged' })).dischargedAt).toBeInstanceOf(Date);
  expect(await workflowFactory.create({ status: 'completed' })).toMatchObject({ closedAt: expect.any(Date), cancelReason: null });
  expect(await workflowFactory.create({ status: 'cancelled' })).toMatchObject({ closedAt: expect.any(Date), cancelReason: expect.any(String) });
});

it('nobody takes the people for real: numbers in their names, example.com, 555-01xx, NPIs whose check digit fits', async () => {
  for (const { firstName, lastName, email, phone, source } of patientFactory.buildList(200)) {
    expect(`${firstName as string} ${lastName as string}`).toMatch(/^\D+\d+ \D+\d+$/);
    expect(email).toMatch(/^[a-z\d.]+@example\.com$/);
    expect(phone).toMatch(/^\+1\d{3}55501\d\d$/);
    expect(source).toBe('synthetic');
  }
  expect(clinicianMappingFactory.buildList(50).filter(({ npi }) => !isNpi(npi as string))).toEqual([]);
});

it('buildRequest gives what a job reads of its request', () => {
  expect(buildRequest({ isDryRun: true })).toMatchObject({ method: 'POST', body: { isDryRun: true } });
  expect(buildRequest({}, { params: { slug: 'no-op' } }).params).toEqual({ slug: 'no-op' });
});
