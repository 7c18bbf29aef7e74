import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { DAY } from '@commons/backend/__tests__/helpers/days-ago.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { workflowFactory } from '@commons/backend/__tests__/helpers/factories/workflow-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { refusingWrites } from '@commons/backend/__tests__/helpers/refusing-writes.js';
import main, { updateWorkflowPriorities } from '@commons/backend/jobs/update-workflow-priorities.js';
import knex from '@commons/backend/lib/knex.js';
import type { Workflow } from '@commons/backend/models/tables.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';

jest.mock('@commons/backend/models/user.js', () => {
  const actual = jest.requireActual('@commons/backend/models/user.js');
  return { ...actual, findOrCreateAttributionUser: jest.fn(actual.findOrCreateAttributionUser) };
});

beforeEach(async () => {
  jest.clearAllMocks();
  await knex.raw('truncate patient, "user" cascade');
});

/** A few minutes off the whole day, so that it does not matter how long the test takes. */
const dueIn = (days: number) => new Date(Date.now() + days * DAY + 300_000);

const createWorkflow = (columns: Parameters<typeof workflowFactory.create>[0] = {}) => workflowFactory.create({ updatedAt: '2020-01-01', ...columns });
const createdWith = async (columns: Parameters<typeof createWorkflow>[0]) => (await createWorkflow(columns)).id;

const find = async (id: string): Promise<Workflow> => (await knex<Workflow>('workflow').where({ id }).first())!;

/** What is in each row, and which version of it: any write, even of the same values, makes another. */
const allRows = () => knex('workflow').select('*', knex.raw('xmin::text, ctid::text')).orderBy('id');

/** Of every priority by the rule, two of them already right; and four of which it says nothing. */
const createSome = async () => {
  await createWorkflow({ dueAt: dueIn(-20), priority: 'normal' });
  await createWorkflow({ dueAt: dueIn(-8), priority: 'urgent' });
  await createWorkflow({ dueAt: dueIn(-3), priority: 'low' });
  await createWorkflow({ dueAt: dueIn(5), priority: 'urgent' });
  await createWorkflow({ dueAt: dueIn(6), priority: 'normal' });
  await createWorkflow({ dueAt: dueIn(40), priority: 'normal' });

  await createWorkflow({ dueAt: null, priority: 'high' });
  await createWorkflow({ dueAt: dueIn(-20), status: 'completed' });
  await createWorkflow({ dueAt: dueIn(-20), status: 'cancelled' });
  await createWorkflow({ dueAt: dueIn(-20), patientId: (await patientFactory.create({ deletedAt: new Date() })).id });
};
const COUNTS = {
  processed: 6,
  succeeded: 6,
  failed: 0,
  updated: 4,
  before: { urgent: 2, high: 0, normal: 3, low: 1 },
  after: { urgent: 2, high: 1, normal: 2, low: 1 },
};
const THRESHOLDS = { urgentAfterDays: 7, highAfterDays: 0, lowBeforeDays: 30 };
const NONE = { urgent: 0, high: 0, normal: 0, low: 0 };

describe('updateWorkflowPriorities', () => {
  it.each([
    ['no body', null],
    ['days in the past', { urgentAfterDays: -1 }],
    ['days beyond ten years', { lowBeforeDays: 3_651 }],
    ['days as text', { highAfterDays: '3' }],
    ['endless days', { urgentAfterDays: Infinity }],
    ['high later than urgent', { urgentAfterDays: 3, highAfterDays: 4 }],
    ['high later than urgent is by default', { highAfterDays: 8 }],
    ['a flag as text', { isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(findOrCreateAttributionUser).not.toHaveBeenCalled();
  });

  it('writes nothing when it cannot say who wrote it', async () => {
    await createSome();
    const before = await allRows();
    jest.mocked(findOrCreateAttributionUser).mockRejectedValueOnce(new Error('no users today'));
    await expect(updateWorkflowPriorities({})).rejects.toThrow('no users today');
    expect(await allRows()).toEqual(before);
  });

  it('is content with no workflows', async () => {
    await expect(updateWorkflowPriorities({})).resolves.toEqual({
      isDryRun: false, ...THRESHOLDS, processed: 0, succeeded: 0, failed: 0, updated: 0, before: NONE, after: NONE,
    });
  });

  it.each([
    [-8, {}, 'urgent'],
    [-6, {}, 'high'],
    [-1, {}, 'high'],
    [1, {}, 'normal'],
    [29, {}, 'normal'],
    [31, {}, 'low'],
    [-6, { urgentAfterDays: 4 }, 'urgent'],
    [-6, { highAfterDays: 7 }, 'normal'],
    [-2, { urgentAfterDays: 0 }, 'urgent'],
    [5, { lowBeforeDays: 3 }, 'low'],
    [-2, { urgentAfterDays: 2.5, highAfterDays: 1.5 }, 'high'],
  ])('makes what is due in %d days, with %j, %s', async (days, body, priority) => {
    const ids = await Promise.all((['urgent', 'high', 'normal', 'low'] as const).map((each) => createdWith({ dueAt: dueIn(days), priority: each })));
    await expect(updateWorkflowPriorities(body)).resolves.toMatchObject({ updated: 3, after: { ...NONE, [priority]: 4 } });
    expect(await knex('workflow').whereIn('id', ids).pluck('priority')).toEqual([priority, priority, priority, priority]);
  });

  it('says who did it and when, and writes no row that stays as it is', async () => {
    const changing = await createdWith({ dueAt: dueIn(-1), priority: 'normal' });
    await createSome();
    const before = await allRows();
    await expect(updateWorkflowPriorities({})).resolves.toMatchObject({ updated: 5 });
    const { id: updatedBy } = await knex('user').where({ email: 'update-workflow-priorities@jobs.invalid' }).first();
    const workflow = await find(changing);
    expect(workflow).toMatchObject({ priority: 'high', updatedBy });
    expect(workflow.updatedAt.getFullYear()).toBeGreaterThan(2020);

    const versions = new Map(before.map((row) => [row.id, row]));
    const written = (await allRows()).filter((row) => row.ctid !== versions.get(row.id).ctid);
    expect(written).toHaveLength(5);
    for (const row of written) expect(row).toMatchObject({ status: 'open', updatedBy });
  });

  it('leaves workflows alone that are closed, that have no due date, or whose patient was deleted', async () => {
    await createSome();
    const deleted = await knex('patient').whereNotNull('deletedAt').pluck('id');
    const isOutside = (row: { status: string; dueAt: Date | null; patientId: string }) => row.status !== 'open' || !row.dueAt || deleted.includes(row.patientId);
    const before = (await allRows()).filter(isOutside);
    expect(before).toHaveLength(4);
    await updateWorkflowPriorities({});
    expect((await allRows()).filter(isOutside)).toEqual(before);
  });

  it('changes all or nothing', async () => {
    await createSome();
    const before = await allRows();
    const running = refusingWrites({ table: 'workflow', on: 'update', when: `new.priority = 'low'` }, () => updateWorkflowPriorities({}));
    await expect(running).rejects.toThrow('refused');
    expect(await allRows()).toEqual(before);
  });
});

describe('POST /jobs/update-workflow-priorities', () => {
  const { post } = jobOverHttp('update-workflow-priorities');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    await createSome();
    const before = await allRows();

    const dry = await post({ isDryRun: true });
    expect(dry.answer.body).toEqual({ isDryRun: true, ...THRESHOLDS, ...COUNTS });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);
    expect(await knex('user')).toEqual([]);

    const real = await post({});
    expect(real.answer.body).toEqual({ isDryRun: false, ...THRESHOLDS, ...COUNTS });
    expect(real.writes).toEqual({ user: { insert: 1 }, workflow: { update: 4 } });

    const second = await post({});
    expect(second.answer.body).toEqual({ isDryRun: false, ...THRESHOLDS, ...COUNTS, updated: 0, before: COUNTS.after });
    expect(second.writes).toEqual({});
  });

  it('names every field that is wrong', async () => {
    const { answer } = await post({ urgentAfterDays: -1, isDryRun: 'no' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path: field }: { path: string }) => field)).toEqual(['urgentAfterDays', 'isDryRun']);
  });
});
