import request from 'supertest';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { useItemTable } from '../helpers/item-table.js';
import { rowOf } from '../helpers/new-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { testApp } from '../helpers/test-app.js';
import { untilLost } from '../helpers/until-lost.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const app = testApp();
const post = (path: string, body: object = {}, headers: Record<string, string> = {}) => request(app).post(path).set(headers).send(body);
const runIdOf = ({ headers }: request.Response) => String(headers['job-run-id']);

useItemTable();
afterEach(killServiceProcesses);

describe('a run that succeeded, and in which items failed', () => {
  it('says how many: its answer, GET /runs, GET /runs/:id and the catalogue', async () => {
    const answer = await post('/jobs/own-loop', { failing: [3, 7, 8] });
    expect([answer.status, answer.headers['job-run-failed-items']]).toEqual([200, '3']);
    const id = runIdOf(answer);
    expect((await request(app).get(`/runs/${id}`)).body).toMatchObject({ status: 'succeeded', failedItems: 3 });
    expect((await request(app).get('/runs?job=own-loop&limit=1')).body.runs).toMatchObject([{ id, failedItems: 3 }]);
    expect((await request(app).get('/jobs/own-loop')).body.runs[0]).toMatchObject({ id, failedItems: 3 });
  });

  it('says so to the same delivery that comes again', async () => {
    const headers = { 'X-CloudScheduler-JobName': 'own-loop', 'X-CloudScheduler-ScheduleTime': '2026-11-23T06:00:00Z' };
    const first = await post('/jobs/own-loop', { failing: [3] }, headers);
    const again = await post('/jobs/own-loop', { failing: [3] }, headers);
    expect(runIdOf(again)).toBe(runIdOf(first));
    expect([first, again].map((answer) => answer.headers['job-run-failed-items'])).toEqual(['1', '1']);
  });

  it('counts all of them, of which 10,000 are kept', async () => {
    const items = 10_002;
    const answer = await post('/jobs/own-loop', { items, failing: Array.from({ length: items }, (_, n) => n + 1) });
    expect(answer.headers['job-run-failed-items']).toBe(String(items));
    expect(await BatchJobRun.find(runIdOf(answer))).toMatchObject({ failedItems: items });
    expect(await BatchJobRun.listFailures(runIdOf(answer))).toHaveLength(10_000);
  });

  it('counts those of batches, once each, and tells a run without any by 0 and no header', async () => {
    const answer = await post('/jobs/writes', { failing: [7, 50] });
    expect(answer.headers['job-run-failed-items']).toBe('2');
    expect(await BatchJobRun.find(runIdOf(answer))).toMatchObject({ failedItems: 2 });
    const whole = await post('/jobs/own-loop');
    expect(whole.headers).not.toHaveProperty('job-run-failed-items');
    expect(await BatchJobRun.find(runIdOf(whole))).toMatchObject({ failedItems: 0 });
  });
});

describe('a run that failed, and in which items failed', () => {
  it('says how many in its problem, keeps the count when it is resumed, and begins at 0 when it is retried', async () => {
    const failed = await post('/jobs/writes', { failing: [7, 50], maxFailures: 1 });
    expect([failed.status, failed.headers['job-run-failed-items']]).toEqual([500, '2']);
    const id = runIdOf(failed);
    await knex('batch_job_run').where({ id }).update({ body: { failing: [95], maxFailures: 0 } });
    expect((await post(`/runs/${id}/resume`)).headers['job-run-failed-items']).toBe('3');
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'failed', attempt: 2, failedItems: 3 });
    await knex('batch_job_run').where({ id }).update({ body: {} });
    expect((await post(`/runs/${id}/retry`)).status).toBe(200);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', attempt: 3, failedItems: 0 });
  });
});

describe('a run that goes on', () => {
  it('says how many items have failed so far; after a kill -9 and a resume all of them are counted', async () => {
    const replica = await startServiceProcess({ RUN_LEASE: '3s' });
    callJob(replica, 'writes', { failing: [2, 95], pauseMs: 100 }).catch(() => undefined);
    const { id } = await untilRunning('writes');
    await waitUntil('it says so', async () => (await BatchJobRun.find(id))?.failedItems === 1);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'running' });
    replica.child.kill('SIGKILL');
    await untilLost(id);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'lost', failedItems: 1 });
    await knex('batch_job_run').where({ id }).update({ body: { failing: [95] } });
    await post(`/runs/${id}/resume`);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', failedItems: 2 });
  });
});

describe('the failed items of a job with a loop of its own', () => {
  const retryFailed = (id: string) => post(`/runs/${id}/retry?only=failed`);

  it('are done again, and no others, where the job asks for run.onlyKeys', async () => {
    const first = await post('/jobs/own-loop', { failing: [3, 7] });
    const again = await retryFailed(runIdOf(first));
    expect([again.status, again.body]).toEqual([200, { processed: [3, 7] }]);
    expect(runIdOf(again)).not.toBe(runIdOf(first));
  });

  it('are refused where it never asks, with what to write in the job; and given once a later run of it did', async () => {
    await knex('batch_job_run').where({ jobName: 'own-loop' }).delete();
    const careless = runIdOf(await post('/jobs/own-loop', { failing: [3, 7], asksForKeys: false }));
    const refused = await retryFailed(careless);
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toMatch(new RegExp(`^The failed items of run ${careless} cannot be retried alone: its job never asked for run.onlyKeys.*Write in the job: const { onlyKeys } = currentRun\\(\\);`));
    expect(await BatchJobRun.list({ jobName: 'own-loop', limit: 10 })).toHaveLength(1);
    await post('/jobs/own-loop', { isDryRun: true });
    expect((await retryFailed(careless)).status).toBe(200);
  });

  it('are given where nobody knows whether it asks: a run from before that was recorded', async () => {
    const id = runIdOf(await post('/jobs/own-loop', { failing: [3], asksForKeys: false }));
    await knex('batch_job_run').where({ jobName: 'own-loop' }).update({ asksForKeys: null });
    expect((await retryFailed(id)).status).toBe(200);
  });

  it('are counted after a kill that came before they were written; what the job had not asked for yet is not held against it', async () => {
    const replica = await startServiceProcess({ RUN_LEASE: '2s' });
    callJob(replica, 'own-loop', { failing: [3], asksForKeys: false, pauseMs: 60_000 }).catch(() => undefined);
    const { id } = await untilRunning('own-loop');
    await waitUntil('its failed item is told of', async () => (await BatchJobRun.find(id))?.failedItems === 1);
    expect(await rowOf(id)).toMatchObject({ status: 'running', asksForKeys: null });
    replica.child.kill('SIGKILL');
    await untilLost(id);
    // The item itself is written by a checkpoint or the run's end, and there was none.
    expect((await retryFailed(id)).body.detail).toMatch(new RegExp(`^Items of run ${id} failed, and it is not known which`));
    expect(await rowOf(id)).toMatchObject({ status: 'lost', failedItems: 1, asksForKeys: null });
  });
});
