import request from 'supertest';
import { envConfig } from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { newRunId } from '@commons/backend/runs/records/run-id.js';
import { RunLeaseLost } from '@commons/backend/lib/errors/service-error.js';
import { BatchJob } from '@commons/backend/models/batch-job.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { dropLease, keepLease } from '@commons/backend/runs/heartbeat.js';
import { doneIds, useItemTable } from '../helpers/item-table.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { testApp } from '../helpers/test-app.js';
import { untilLost } from '../helpers/until-lost.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const app = testApp();
const post = (path: string, body: object = {}, headers: Record<string, string> = {}) => request(app).post(path).set(headers).send(body);
const failedKeys = async (id: string): Promise<unknown[]> => (await BatchJobRun.listFailures(id)).map(({ key }) => key);

/** A run of the job `writes` as it might be found. */
async function insertRun(row: object): Promise<string> {
  const id = newRunId();
  await BatchJob.findOrCreateByName('writes');
  await knex('batch_job_run').insert({ id, jobName: 'writes', trigger: 'http', startedAt: knex.fn.now(), body: {}, ...row });
  return id;
}

useItemTable();
beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe('a delivery that comes again', () => {
  it('begins anew, though the attempt before it had saved how far it got', async () => {
    const headers = { 'X-CloudScheduler-JobName': 'writes', 'X-CloudScheduler-ScheduleTime': new Date(Date.now() - 1_000).toISOString() };
    const first = await post('/jobs/writes', { failing: [7, 50], maxFailures: 1 }, headers);
    expect(first.status).toBe(500);
    expect(await BatchJobRun.find(first.body.runId)).toMatchObject({ cursor: { steps: { 1: { processed: 40 } } } });
    expect(await failedKeys(first.body.runId)).toEqual(['7', '50']);
    const second = await post('/jobs/writes', {}, headers);
    expect(second.headers['job-run-id']).toBe(first.body.runId);
    expect(second.body).toMatchObject({ processed: 61, succeeded: 61 });
    expect(await BatchJobRun.find(first.body.runId)).toMatchObject({ status: 'succeeded', attempt: 2 });
    expect(await failedKeys(first.body.runId)).toEqual([]);
  });
});

describe('an attempt that was taken for lost, and works on', () => {
  it('is told so, and neither keeps the lease of the next attempt nor writes over its progress', async () => {
    const id = await insertRun({ status: 'running', attempt: 2, leaseUntil: knex.raw("now() + interval '1 h'"), progress: { processed: 5 } });
    const before = await knex('batch_job_run').where({ id }).first();
    const askToStop = jest.fn();
    const late = { id, attempt: 1, leaseUntil: 0, askToStop, cancel: jest.fn(), news: () => ({ progress: '{"processed":99}' }) };
    // Half of its lease is left, by its own clock.
    keepLease(late, performance.now() - envConfig().runLease / 2);
    await waitUntil('it is told', () => askToStop.mock.calls.length > 0);
    dropLease(late);
    expect(askToStop).toHaveBeenCalledWith(expect.any(RunLeaseLost));
    expect(await knex('batch_job_run').where({ id }).first()).toEqual(before);
  });
});

describe('a dry run', () => {
  it.each(['resume', 'retry'])('stays one by a %s, though its job would now take it for a real one', async (how) => {
    const id = await insertRun({ status: 'lost', isDryRun: true });
    const answer = await post(`/runs/${id}/${how}`);
    expect(answer.body.detail).toMatch(/^A dry run may not write/);
    expect(await BatchJobRun.find(id)).toMatchObject({ isDryRun: true, attempt: 2 });
    expect(await doneIds()).toEqual([]);
  });
});

describe('the failed items of a run that failed', () => {
  it('are a run of its own, so that the rest can still be resumed; and that run keeps to them when it is started again', async () => {
    const { body } = await post('/jobs/writes', { failing: [7, 50], maxFailures: 1 });
    const first = body.runId as string;
    const before = await doneIds();
    expect(before).toHaveLength(39);

    const own = await post(`/runs/${first}/retry?only=failed`);
    const id = own.headers['job-run-id'] as string;
    expect(id).not.toBe(first);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'failed', parentRunId: first, attempt: 1, progress: { processed: 0 } });
    for (const how of ['retry', 'resume']) {
      expect((await post(`/runs/${id}/${how}`)).body.data.message).toMatch(/^Stopped: 2 of 2 failed/);
      expect(await doneIds()).toEqual(before);
    }

    await knex('batch_job_run').where({ id: first }).update({ body: {} });
    const resumed = await post(`/runs/${first}/resume`);
    expect(resumed.body).toMatchObject({ processed: 100, succeeded: 99, failed: 1 });
    expect(await doneIds()).toHaveLength(99);
  });

  it('are asked for in vain while it runs, and when there are none', async () => {
    const running = await insertRun({ status: 'running', leaseUntil: knex.raw("now() + interval '1 h'") });
    const lost = await insertRun({ status: 'lost' });
    const [early, none] = await Promise.all([running, lost].map((id) => post(`/runs/${id}/retry?only=failed`)));
    expect(early).toMatchObject({ status: 409, body: { detail: expect.stringMatching(new RegExp(`^Run ${running} is running since \\S+Z: which items fail is known once it has ended`)) } });
    expect(none).toMatchObject({ status: 409, body: { detail: expect.stringMatching(new RegExp(`^No item of run ${lost} failed: it is lost\\. To .* POST /runs/${lost}/resume, or `)) } });
    const done = await insertRun({ status: 'succeeded', finishedAt: knex.fn.now() });
    expect((await post(`/runs/${done}/retry?only=failed`)).body.detail).toMatch(new RegExp(`^No item of run ${done} failed: it has succeeded at \\S+Z, .*[.]$`));
    expect(await BatchJobRun.find(lost)).toMatchObject({ status: 'lost', attempt: 1 });
  });

  it('are refused with the run, and what to do, where its body is not kept, or another one comes along', async () => {
    const redacted = await insertRun({ status: 'lost', isBodyRedacted: true, finishedAt: knex.fn.now() });
    const whole = await insertRun({ status: 'lost', finishedAt: knex.fn.now() });
    const refusals = [await post(`/runs/${redacted}/retry`), await post(`/runs/${redacted}/retry`, { failing: [1] }), await post(`/runs/${whole}/retry`, { failing: [1] })];
    expect(refusals.map(({ status }) => status)).toEqual([409, 400, 400]);
    for (const [at, id] of [redacted, redacted, whole].entries()) expect(refusals[at]!.body.detail).toMatch(new RegExp(`^.*[Rr]un ${id}, which is lost since \\S+Z, .*(send|start)`));
  });

  it('are known after a kill -9 and a resume, all of them', async () => {
    const replica = await startServiceProcess({ RUN_LEASE: '2s' });
    callJob(replica, 'writes', { failing: [7, 95], pauseMs: 20 }).catch(() => undefined);
    const { id } = await untilRunning('writes');
    await waitUntil('it got somewhere', async () => (await doneIds()).length >= 20);
    replica.child.kill('SIGKILL');
    await untilLost(id);
    expect(await failedKeys(id)).toEqual(['7']);
    expect((await post(`/runs/${id}/resume`)).body).toMatchObject({ processed: 100, failed: 2 });
    expect(await failedKeys(id)).toEqual(['7', '95']);
    const answer = await request(app).get(`/runs/${id}/failures`);
    expect(answer.body.groups).toMatchObject([{ count: 2, message: 'item 7 is no good' }]);
  });
});

describe('every answer about a run', () => {
  it.each(['cancel', 'resume', 'retry', 'retry?only=failed', 'retry?only=some'])('says which one it is: a refused %s', async (how) => {
    const { headers } = await post('/jobs/no-op');
    const refused = await post(`${headers.location}/${how}`);
    expect(refused.status).toBe(how.endsWith('some') ? 400 : 409);
    expect(refused.headers).toMatchObject({ location: headers.location, 'job-run-id': headers['job-run-id'] });
    expect(refused.type).toBe('application/problem+json');
  });

  it('says which one it is: a cancelled run', async () => {
    const running = post('/jobs/holds-connections', { count: 1, seconds: 60 }).then((answer) => answer);
    const { id } = await untilRunning('holds-connections');
    const cancelled = await post(`/runs/${id}/cancel`);
    expect(cancelled.headers).toMatchObject({ location: `/runs/${id}`, 'job-run-id': id });
    expect((await running).headers).toMatchObject({ location: `/runs/${id}`, 'job-run-id': id });
  });
});
