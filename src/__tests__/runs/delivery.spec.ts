import request from 'supertest';
import knex from '@commons/backend/lib/knex.js';
import { claimPool } from '@commons/backend/lib/database/service-pools.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { testApp } from '../helpers/test-app.js';

const app = testApp();

const scheduled = (jobName: string, time: Date | string) => ({
  'X-CloudScheduler': 'true',
  'X-CloudScheduler-JobName': jobName,
  'X-CloudScheduler-ScheduleTime': typeof time === 'string' ? time : time.toISOString(),
});

/** A delivery as Cloud Scheduler makes it: JSON that it calls application/octet-stream. */
const deliver = (slug: string, headers: Record<string, string>, body: object = {}) =>
  request(app).post(`/jobs/${slug}`).set({ ...headers, 'Content-Type': 'application/octet-stream' }).send(Buffer.from(JSON.stringify(body)));

const runs = (jobName: string) => BatchJobRun.list({ jobName, limit: 100 });

beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe("a scheduler's delivery", () => {
  it('is recorded as such, with the time it was due', async () => {
    const { status } = await deliver('echo', scheduled('echo', '2026-11-23T06:00:00Z'), { a: 1 });
    expect(status).toBe(200);
    expect(await runs('echo')).toMatchObject([{ trigger: 'scheduler', schedulerJobName: 'echo', scheduledFor: new Date('2026-11-23T06:00:00Z') }]);
  });

  it('that succeeded and comes again is answered with that run\'s outcome, and not run again', async () => {
    const first = await deliver('echo', scheduled('echo', '2026-11-23T06:00:00Z'), { a: 1 });
    // The same instant, written in another time zone.
    const second = await deliver('echo', scheduled('echo', '2026-11-23T07:00:00+01:00'), { a: 1 });
    expect(second.status).toBe(200);
    expect(second.body).toEqual(first.body);
    expect(second.headers['job-run-id']).toBe(first.headers['job-run-id']);
    expect(await runs('echo')).toHaveLength(1);
  });

  it('that failed and comes again is a new attempt of the same run', async () => {
    const headers = scheduled('throws', '2026-11-23T06:00:00Z');
    const first = await deliver('throws', headers, { status: 409, data: 'not yet' });
    const second = await deliver('throws', headers, { status: 422, data: 'never' });
    expect([first.status, second.status]).toEqual([409, 422]);
    expect(await runs('throws')).toMatchObject([{ attempt: 2, httpStatus: 422 }]);
  });

  it.each(['insert into batch_job_run (', 'update batch_job_run'])('is run although the answer to its start (%s) was lost', async (statement) => {
    const headers = scheduled('throws', '2026-11-23T06:00:00Z');
    if (statement.startsWith('update')) await deliver('throws', headers, { status: 409, data: 'not yet' });
    const query = claimPool.query.bind(claimPool);
    let isLost = false;
    jest.spyOn(claimPool, 'query').mockImplementation(async (asked) => {
      const result = await query(asked);
      if (isLost || !asked.text.includes(statement) || result.rowCount === 0) return result as never;
      isLost = true;
      throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    });
    const answer = await deliver('throws', headers, { status: 422, data: 'it ran' });
    jest.restoreAllMocks();
    expect(isLost).toBe(true);
    expect(answer.status).toBe(422);
    expect(await runs('throws')).toMatchObject([{ status: 'failed', httpStatus: 422 }]);
  });

  it('of an AcceptableError is answered the same again, problem and all', async () => {
    const headers = scheduled('throws', '2026-11-23T06:00:00Z');
    const first = await deliver('throws', headers, { status: 409, data: { done: true }, acceptable: true });
    const second = await deliver('throws', headers, { status: 409, data: { done: true }, acceptable: true });
    expect(second.status).toBe(409);
    expect(second.body).toEqual(first.body);
  });

  it('for another instant, or of another job, is another run', async () => {
    await deliver('echo', scheduled('echo', '2026-11-23T06:00:00Z'));
    await deliver('echo', scheduled('echo', '2026-11-23T06:05:00Z'));
    await deliver('no-op', scheduled('no-op', '2026-11-23T06:00:00Z'));
    expect(await runs('echo')).toHaveLength(2);
    expect(await runs('no-op')).toHaveLength(1);
  });

  it('with an instant ahead was forced by hand, and runs each time', async () => {
    const headers = scheduled('echo', new Date(Date.now() + 3_600_000));
    await deliver('echo', headers);
    await deliver('echo', headers);
    expect(await runs('echo')).toHaveLength(2);
  });

  it('from a Scheduler job of another name is marked', async () => {
    const { headers } = await deliver('echo', scheduled('nightly-echo', '2026-11-23T06:00:00Z'));
    const { body } = await request(app).get(headers.location!).expect(200);
    expect(body).toMatchObject({ jobName: 'echo', schedulerJobName: 'nightly-echo', schedulerNameDiffers: true });
  });

  it('without a usable time still runs', async () => {
    expect((await deliver('echo', scheduled('echo', 'soon'))).status).toBe(200);
    expect(await runs('echo')).toMatchObject([{ trigger: 'scheduler', scheduledFor: null }]);
  });

  it('at two replicas at once is one run, and both callers get its outcome', async () => {
    const replicas = await Promise.all([startServiceProcess(), startServiceProcess()]);
    const headers = scheduled('waits', '2026-11-23T06:00:00Z');
    const answers = await Promise.all([...replicas, ...replicas].map((replica) => callJob(replica, 'waits', { ms: 1_500 }, headers)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(new Set(answers.map(({ headers: got }) => got.get('job-run-id'))).size).toBe(1);
    expect(await runs('waits')).toMatchObject([{ attempt: 1, status: 'succeeded' }]);
  });
});
