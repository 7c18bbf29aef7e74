import request from 'supertest';
import { uuidv7 } from 'uuidv7';
import { claimPool, recorderPool } from '@commons/backend/lib/database/service-pools.js';
import knex from '@commons/backend/lib/knex.js';
import { nextTime } from '@commons/backend/lib/job-files/config.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { createBatchJobRun } from '../helpers/factories/batch-job-run-factory.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { testApp } from '../helpers/test-app.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const app = testApp();
const JOB = 'runs-alone';
const post = (path: string, body: object = {}, headers: Record<string, string> = {}) => request(app).post(path).set(headers).send(body);
const runs = () => BatchJobRun.list({ jobName: JOB, limit: 100 });
const scheduled = (time: string) => ({ 'X-CloudScheduler': 'true', 'X-CloudScheduler-JobName': JOB, 'X-CloudScheduler-ScheduleTime': time });

/** Starts one that runs until it is cancelled. */
async function startWaiting() {
  const answer = post(`/jobs/${JOB}`, { wait: true }).then((done) => done);
  const { id } = await untilRunning(JOB);
  return {
    id,
    async cancel() {
      await post(`/runs/${id}/cancel`);
      return answer;
    },
  };
}

beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe("a job whose config.overlap is 'skip'", () => {
  it('is skipped while another run of it is active, on record and with a reason, and runs again afterwards', async () => {
    const first = await startWaiting();
    const second = await post(`/jobs/${JOB}`);
    expect(second.status).toBe(409);
    expect(second.headers['content-type']).toMatch(/^application\/problem\+json/);
    const why = expect.stringMatching(new RegExp(`^Another run of this job is active: ${first.id}, running since \\S+Z on \\S+, and its config.overlap is 'skip'. Wait for it, or cancel it: POST /runs/${first.id}/cancel, or `));
    expect(second.body).toMatchObject({ detail: why, data: { activeRunId: first.id } });
    expect(await BatchJobRun.find(second.headers['job-run-id']!)).toMatchObject({ status: 'skipped', httpStatus: 409, startedAt: null });
    await first.cancel();
    expect((await post(`/jobs/${JOB}`)).body).toEqual({ ran: true });
  });

  it('lets one of many callers in, at two replicas', async () => {
    const replicas = await Promise.all([startServiceProcess(), startServiceProcess()]);
    const calls = Array.from({ length: 12 }, (_, n) => callJob(replicas[n % 2]!, JOB, { wait: true }));
    const { id } = await waitUntil('one runs and eleven are skipped', async () => {
      const all = await runs();
      return all.filter(({ status }) => status === 'skipped').length === 11 ? all.find(({ status }) => status === 'running') : undefined;
    });
    await post(`/runs/${id}/cancel`);
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    expect(statuses).toEqual(Array.from({ length: 12 }, () => 409));
    expect((await BatchJobRun.find(id))?.status).toBe('cancelled');
  });

  it('lets dry runs pass, which change nothing', async () => {
    const first = await startWaiting();
    expect((await post(`/jobs/${JOB}`, { isDryRun: true })).body).toEqual({ ran: true });
    await first.cancel();
  });

  it("answers a scheduler's delivery that is skipped with 200, and the same delivery the same again", async () => {
    const first = await startWaiting();
    const delivered = await post(`/jobs/${JOB}`, {}, scheduled('2026-11-23T06:00:00Z'));
    expect([delivered.status, delivered.body]).toEqual([200, { skipped: true, activeRunId: first.id }]);
    await first.cancel();
    const again = await post(`/jobs/${JOB}`, {}, scheduled('2026-11-23T06:00:00Z'));
    expect(again.headers['job-run-id']).toBe(delivered.headers['job-run-id']);
    expect(again.body).toEqual(delivered.body);
    expect((await post(`/jobs/${JOB}`, {}, scheduled('2026-11-23T06:05:00Z'))).body).toEqual({ ran: true });
  });

  it('is not started again beside another run', async () => {
    const cancelled = await startWaiting();
    await cancelled.cancel();
    const active = await startWaiting();
    const refused = await post(`/runs/${cancelled.id}/retry`);
    expect([refused.status, refused.body.detail]).toEqual([409, expect.stringContaining(`Another run of this job is active: ${active.id}, running since`)]);
    expect(refused.body.data).toEqual({ activeRunId: active.id });
    expect((await BatchJobRun.find(cancelled.id))?.status).toBe('cancelled');
    await active.cancel();
  });

  it('is rehearsed no further while another run of it is active, which the answer names', async () => {
    const active = await startWaiting();
    const refused = await post(`/jobs/${JOB}/rehearse`);
    expect(refused).toMatchObject({ status: 409, type: 'application/problem+json', body: { detail: expect.stringContaining(`active: ${active.id}, running since`), data: { activeRunId: active.id } } });
    await active.cancel();
  });

  it('is free again once a run whose process died is lost', async () => {
    const replica = await startServiceProcess();
    const call = callJob(replica, JOB, { wait: true }).catch((error: unknown) => error);
    await untilRunning(JOB);
    replica.child.kill('SIGKILL');
    await replica.exited;
    await call;
    expect((await post(`/jobs/${JOB}`)).status).toBe(409);
    await knex('batch_job_run').where('status', 'running').update({ leaseUntil: knex.raw("now() - interval '1 s'") });
    await BatchJobRun.markLost();
    expect((await post(`/jobs/${JOB}`)).body).toEqual({ ran: true });
  });
});

describe("a delivery whose run was lost, of a job whose config.overlap is 'skip'", () => {
  const HEADERS = scheduled('2026-11-23T06:00:00Z');
  const key = `${JOB}/${JOB}@2026-11-23T06:00:00.000Z`;
  const insertRun = async (columns: object) =>
    String((await createBatchJobRun({ jobName: JOB, overlapKey: JOB, status: 'running', finishedAt: null, leaseUntil: knex.raw("now() + interval '1 h'"), ...columns })).id);

  async function expectToldToComeAgain(answer: request.Response, lost: string): Promise<void> {
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5']);
    expect(answer.body.detail).toContain('Another run of this job is active');
    expect(await BatchJobRun.find(lost)).toMatchObject({ status: 'lost', attempt: 1 });
    expect(await runs()).toHaveLength(2);
  }

  it('is told to come again while another run of the job is active, at once, and runs once that has ended', async () => {
    const lost = await insertRun({ status: 'lost', deliveryKey: key });
    const other = await insertRun({});
    const claims = jest.spyOn(claimPool, 'query');
    const answer = await post(`/jobs/${JOB}`, {}, HEADERS);
    const taken = claims.mock.calls.filter(([{ name }]) => name?.startsWith('take-run'));
    claims.mockRestore();
    expect(taken).toHaveLength(1);
    await expectToldToComeAgain(answer, lost);
    await knex('batch_job_run').where({ id: other }).update({ status: 'succeeded' });
    expect((await post(`/jobs/${JOB}`, {}, HEADERS)).body).toEqual({ ran: true });
    expect(await BatchJobRun.find(lost)).toMatchObject({ status: 'succeeded', attempt: 2 });
  });

  it('is told so too when it waited for its run, which was lost meanwhile, and another has begun', async () => {
    const own = await insertRun({ deliveryKey: key });
    const statuses = jest.spyOn(recorderPool, 'query');
    const answer = post(`/jobs/${JOB}`, {}, HEADERS).then((done) => done);
    await waitUntil('it waits', () => statuses.mock.calls.some(([{ text }]) => text.startsWith('select id, status from batch_job_run')));
    statuses.mockRestore();
    await knex.transaction(async (trx) => {
      await trx('batch_job_run').where({ id: own }).update({ status: 'lost', finishedAt: trx.fn.now() });
      await trx('batch_job_run').insert({ id: uuidv7(), jobName: JOB, trigger: 'http', overlapKey: JOB, status: 'running', leaseUntil: trx.raw("now() + interval '1 h'") });
    });
    await expectToldToComeAgain(await answer, own);
  });

  it('is alone by the config of today, though its first attempt was not', async () => {
    const lost = await insertRun({ status: 'lost', deliveryKey: key, overlapKey: null, isDryRun: true });
    await insertRun({});
    await expectToldToComeAgain(await post(`/jobs/${JOB}`, {}, HEADERS), lost);
  });
});

describe("a job's schedule", () => {
  it('is in the catalogue, with its next time', async () => {
    const { body } = await request(app).get(`/jobs/${JOB}`);
    expect(body).toMatchObject({ overlap: 'skip', schedule: { cron: '0 6 * * 1-5', timeZone: 'America/New_York' } });
    expect(new Date(body.nextTime as string).getTime()).toBeGreaterThan(Date.now());
  });

  it('is by the clock of its time zone, summer and winter', () => {
    const nextAfter = (now: string, timeZone: string) => {
      jest.useFakeTimers({ now: new Date(now), doNotFake: ['setTimeout', 'setImmediate', 'nextTick'] });
      try {
        return nextTime({ cron: '0 6 * * *', timeZone })!.toISOString();
      } finally {
        jest.useRealTimers();
      }
    };
    expect(nextAfter('2026-01-15T00:00:00Z', 'America/New_York')).toBe('2026-01-15T11:00:00.000Z');
    expect(nextAfter('2026-07-15T00:00:00Z', 'America/New_York')).toBe('2026-07-15T10:00:00.000Z');
    // The day on which the clocks go forward at 2, and the one on which they go back.
    expect(nextAfter('2026-03-08T05:00:00Z', 'America/New_York')).toBe('2026-03-08T10:00:00.000Z');
    expect(nextAfter('2026-11-01T04:00:00Z', 'America/New_York')).toBe('2026-11-01T11:00:00.000Z');
    for (const now of ['2026-01-15T00:00:00Z', '2026-07-15T00:00:00Z']) expect(nextAfter(now, 'Etc/UTC')).toBe(now.replace('T00:00:00Z', 'T06:00:00.000Z'));
  });
});
