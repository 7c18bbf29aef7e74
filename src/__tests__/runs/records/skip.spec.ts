import { cutConnection, directUrl } from '../../helpers/database-proxy.js';
import request from 'supertest';
import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import { claimRow } from '@commons/backend/runs/records/claim-row.js';
import { type Skipped, skipRun } from '@commons/backend/runs/records/skip.js';
import { createBatchJobRun } from '../../helpers/factories/batch-job-run-factory.js';
import { holdLock } from '../../helpers/locks.js';
import { auditOf, newDelivery, newRun, rowOf } from '../../helpers/new-run.js';
import { testApp } from '../../helpers/test-app.js';

const JOB = 'runs-alone';
const audit = { action: 'run', name: undefined, isVerified: false, source: undefined };
const alone = (given: object = {}) => newRun({ jobName: JOB, isAlone: true, audit, ...given });
const startActive = async () => String((await createBatchJobRun({ jobName: JOB, status: 'running', overlapKey: JOB, finishedAt: null, leaseUntil: knex.raw("now() + interval '1 h'") })).id);
const skippedRows = () => knex('batch_job_run').where({ jobName: JOB, status: 'skipped' }).select('*');

beforeEach(() => knex('batch_job_run').delete());

describe('the same delivery, skipped by two replicas at the same moment', () => {
  /** Both have seen that they are to be skipped, and neither has written it. */
  const skipAtOnce = async (calls: () => Promise<unknown>[]) => {
    const lock = await holdLock(directUrl, 'lock table batch_job_run in share mode');
    const answers = calls();
    await lock.untilWaiting(2);
    await lock.release();
    return Promise.all(answers);
  };

  it('is one row, and the other is told the id of that one', async () => {
    const activeRunId = await startActive();
    const delivery = newDelivery();
    const [first, second] = [alone({ delivery }), alone({ delivery })];
    const answers = await skipAtOnce(() => [skipRun(first), skipRun(second)]);
    const [row, ...others] = await skippedRows();
    expect(others).toEqual([]);
    expect(answers).toContainEqual(expect.objectContaining({ kind: 'skipped', id: row.id, activeRunId, httpStatus: 200 }));
    expect(answers).toContainEqual({ kind: 'elsewhere', id: row.id });
    expect([...(await auditOf(first.id)), ...(await auditOf(second.id))]).toMatchObject([{ runId: row.id }]);
  });

  it('is one row however many claim it', async () => {
    await startActive();
    const delivery = newDelivery();
    const answers = (await skipAtOnce(() => Array.from({ length: 4 }, () => claimRow(alone({ delivery }))))) as { kind: string; id: string }[];
    const rows = await skippedRows();
    expect(rows).toHaveLength(1);
    expect(answers.map(({ id }) => id)).toEqual(answers.map(() => rows[0].id));
    expect(answers.filter(({ kind }) => kind === 'skipped')).toHaveLength(1);
  });

  it('is answered 200 to both callers, with the address of a run that exists', async () => {
    await startActive();
    const app = testApp();
    const headers = { 'X-CloudScheduler-JobName': JOB, 'X-CloudScheduler-ScheduleTime': '2026-11-23T06:00:00Z' };
    const answers = (await skipAtOnce(() => [1, 2].map(() => request(app).post(`/jobs/${JOB}`).set(headers).send({}).then((answer) => answer)))) as request.Response[];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const [location, ...others] = [...new Set(answers.map((answer) => answer.headers.location))];
    expect(others).toEqual([]);
    expect((await request(app).get(location!)).body).toMatchObject({ status: 'skipped' });
  });
});

describe('a run that is skipped', () => {
  it.each(['answered', 'sent'] as const)('says so, and which one was in its way, although the connection was cut when its row was %s', async (once) => {
    const activeRunId = await startActive();
    const cuts = cutConnection(/make-skipped-run/, once);
    const run = alone();
    expect(await claimRow(run)).toMatchObject({ kind: 'skipped', id: run.id, activeRunId, httpStatus: 409 });
    expect(cuts()).toBe(1);
    expect(await skippedRows()).toHaveLength(1);
    expect(await auditOf(run.id)).toHaveLength(1);
  });

  it('stays skipped, and says what its row says, although nothing is in its way any more once that is answered', async () => {
    const activeRunId = await startActive();
    const run = alone();
    await skipRun(run);
    await knex('batch_job_run').where({ id: activeRunId }).update({ status: 'succeeded' });
    expect(await claimRow(run)).toMatchObject({ kind: 'skipped', id: run.id, activeRunId });
    expect(await rowOf(run.id)).toMatchObject({ status: 'skipped', error: { data: { activeRunId } } });
  });

  it('has the same message as any other, so that they can be counted, and says the rest in its detail', async () => {
    const activeRunId = await startActive();
    const skipped = await skipRun(alone({ id: uuidv7() }));
    expect(skipped).toMatchObject({ detail: expect.stringContaining(activeRunId) });
    const [row] = await skippedRows();
    expect(row.error).toMatchObject({ message: 'Another run of this job was active', detail: (skipped as Skipped).detail });
  });

  it('names none when what was in its way has ended meanwhile', async () => {
    await createBatchJobRun({ jobName: JOB });
    const run = alone({ id: uuidv7() });
    expect(await skipRun(run)).toMatchObject({ kind: 'skipped', activeRunId: undefined, error: { data: { activeRunId: null } } });
  });
});
