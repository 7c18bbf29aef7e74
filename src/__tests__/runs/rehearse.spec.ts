import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { daysAgo } from '@commons/backend/__tests__/helpers/days-ago.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { taskFactory } from '@commons/backend/__tests__/helpers/factories/task-factory.js';
import { userFactory } from '@commons/backend/__tests__/helpers/factories/user-factory.js';
import { workflowFactory } from '@commons/backend/__tests__/helpers/factories/workflow-factory.js';
import { testRegistry } from '@commons/backend/__tests__/helpers/test-app.js';
import { untilAQueryWaits } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import { envConfig } from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { rehearse } from '@commons/backend/runs/rehearse.js';
import { backfillTemplateName } from '../fixtures/templates/backfill-template-name.js';

jest.mock('@commons/backend/lib/env-config.js', () => {
  const actual = jest.requireActual<{ envConfig: () => object }>('@commons/backend/lib/env-config.js');
  return { ...actual, envConfig: jest.fn(actual.envConfig) };
});

const realConfig = envConfig();
const folder = mkdtempSync(path.join(tmpdir(), 'rehearse-spec-'));

beforeAll(() => void jest.mocked(envConfig).mockReturnValue({ ...realConfig, objectStorage: `file:${folder}` }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const templates = testRegistry(path.resolve(__dirname, '../fixtures/templates'));

describe('the rehearsal of a template, as create writes it', () => {
  beforeAll(async () => {
    await patientFactory.createList(3, { phone: null });
    await taskFactory.createList(2, { deletedAt: daysAgo(90) });
    await taskFactory.createList(2, { expiresAt: daysAgo(90) });
    await workflowFactory.createList(2, { dueAt: daysAgo(90) });
  });

  it.each<[string, object | (() => Promise<object>)]>([
    ['backfill', { fallback: 'unknown' }],
    ['export', {}],
    ['bulk', async () => ({ ids: [(await taskFactory.create()).id], requestedBy: (await userFactory.create()).email, reason: 'twice' })],
    ['create', { items: [{ name: 'New York', state: 'NY' }] }],
    ['delete', { olderThanDays: 30 }],
    ['update', { from: 'normal', to: 'high' }],
    ['start', { kind: 'care_gap' }],
    ['cleanup', { olderThanDays: 30 }],
    ['cancel', { overdueDays: 30, reason: 'too late' }],
  ])('passes: %s', async (category, given) => {
    const job = templates.find(`${category}-template-name`)!;
    const body = typeof given === 'function' ? await given() : given;
    const report = await rehearse(job, { trigger: 'cli', body }, async () => true);
    expect(report.steps.map(({ reason }) => reason)).toEqual([undefined, undefined, undefined]);
    expect(report.verdict).toBe('passed');
    if (category !== 'export') expect(report.steps[1]!.writes).not.toEqual({});
  });

  it('publishes a file of each run that was real', () => {
    expect(readdirSync(path.join(folder, 'export-template-name'))).toHaveLength(2);
  });
});

describe('the backfill template', () => {
  it('leaves alone what somebody fills between its reading and its writing', async () => {
    const [first, second] = await patientFactory.createList(2, { phone: null });
    const other = await knex.transaction();
    await other('patient').where({ id: first!.id }).update({ phone: 'theirs' });
    const filling = backfillTemplateName({ fallback: 'ours' });
    await untilAQueryWaits();
    await other.commit();
    await filling;
    expect(await knex('patient').whereIn('id', [first!.id, second!.id]).orderBy('phone').pluck('phone')).toEqual(['ours', 'theirs']);
  });
});
