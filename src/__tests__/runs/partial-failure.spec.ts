import type { Knex } from 'knex';
import request from 'supertest';
import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { ActiveRun } from '@commons/backend/runs/active-run.js';
import { executeRun } from '@commons/backend/runs/execute.js';
import { insertFailures } from '@commons/backend/runs/records/failures.js';
import { createBatchJobRun } from '../helpers/factories/batch-job-run-factory.js';
import { holdLock } from '../helpers/locks.js';
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

  it('keeps them though their table is locked as it ends: its outcome waits for that, since a retry needs them', async () => {
    // For longer than one statement waits.
    const lock = await holdLock(process.env.DATABASE_URL!, 'lock table batch_job_run_failure in share mode');
    const answering = post('/jobs/own-loop', { failing: [3, 7] }).then((answer) => answer);
    await lock.untilWaitingAnew();
    await lock.release();
    const answer = await answering;
    expect(answer.status).toBe(200);
    expect((await BatchJobRun.listFailures(runIdOf(answer))).map(({ key }) => key)).toEqual([3, 7]);
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
  it('says how many in its problem; resumed, it counts those it did not do again; and it begins at 0 when it is retried', async () => {
    const failed = await post('/jobs/writes', { failing: [7, 50], maxFailures: 1 });
    expect([failed.status, failed.headers['job-run-failed-items']]).toEqual([500, '2']);
    const id = runIdOf(failed);
    await knex('batch_job_run').where({ id }).update({ body: { failing: [95], maxFailures: 0 } });
    // The page of item 50 was rolled back and done again, and item 50 has succeeded.
    expect((await post(`/runs/${id}/resume`)).headers['job-run-failed-items']).toBe('2');
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'failed', attempt: 2, failedItems: 2 });
    expect((await BatchJobRun.listFailures(id)).map(({ key }) => key)).toEqual(['7', '95']);
    await knex('batch_job_run').where({ id }).update({ body: {} });
    expect((await post(`/runs/${id}/retry`)).status).toBe(200);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', attempt: 3, failedItems: 0 });
  });
});

/** A run that its caller has the row of, and whose lease lasts. */
function newActiveRun(): ActiveRun {
  const run = new ActiveRun({
    id: uuidv7(), attempt: 1, jobName: 'own-loop', isDryRun: false, timeoutMs: 60_000, trace: undefined, cursor: undefined, onlyKeys: undefined,
    failedBefore: 0, countWrites: undefined, scrubber: undefined,
  });
  run.leaseUntil = performance.now() + 3_600_000;
  return run;
}

describe('failed items of transactions', () => {
  it.each(['rollback', 'outer rollback', 'commit'] as const)('count where they are kept: after a %s', async (end) => {
    const active = newActiveRun();
    await createBatchJobRun({ id: active.id, jobName: 'own-loop', status: 'running', finishedAt: null });
    const failIn = async (trx: Knex.Transaction) => {
      active.failure({ key: 1, error: new Error('no good') }, trx);
      await active.checkpoint({ at: 1 }, trx);
    };
    const run = await executeRun(active, {
      perform: async () => {
        active.failure({ key: 0, error: new Error('no good') });
        const trx = await knex.transaction();
        if (end === 'outer rollback') await trx.transaction(failIn);
        else await failIn(trx);
        await (end === 'commit' ? trx.commit() : trx.rollback());
      },
    });
    const expected = end === 'commit' ? 2 : 1;
    expect(await BatchJobRun.listFailures(active.id)).toHaveLength(expected);
    expect([run.failedItems, (await rowOf(active.id))?.failedItems]).toEqual([expected, expected]);
  });
});

describe('a run that is resumed', () => {
  it('forgets the failures of a loop that has kept no place, since it does all items again', async () => {
    const { id } = (await createBatchJobRun({ jobName: 'own-loop', status: 'failed', failedItems: 3, body: { failing: [3] } })) as { id: string };
    await insertFailures(id, 1, [7, 8, 9].map((key, seq) => ({ seq, key: String(key), message: 'no good', fingerprint: 'f' })));
    await post(`/runs/${id}/resume`);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', attempt: 2, failedItems: 1 });
    expect((await BatchJobRun.listFailures(id)).map(({ key }) => key)).toEqual([3]);
  });

  it('counts those behind its place that were too many to be kept, however often it is resumed', async () => {
    const active = newActiveRun();
    await createBatchJobRun({ id: active.id, jobName: 'own-loop', status: 'running', finishedAt: null, body: { failing: [3] } });
    await executeRun(active, {
      perform: async () => {
        for (let key = 0; key < 10_003; key++) active.failure({ key, error: new Error('no good') });
        await active.checkpoint({ at: 10_003 });
        active.failure({ key: 10_003, error: new Error('no good') });
        throw new Error('and now all of it');
      },
    });
    expect(await rowOf(active.id)).toMatchObject({ status: 'failed', failedItems: 10_004 });
    for (let time = 0; time < 2; time++) {
      await post(`/runs/${active.id}/resume`);
      expect(await rowOf(active.id)).toMatchObject({ status: 'succeeded', attempt: 2 + time, failedItems: 10_004 });
      expect(await BatchJobRun.listFailures(active.id)).toHaveLength(10_001);
      await knex('batch_job_run').where({ id: active.id }).update({ status: 'failed' });
    }
  });

  it('keeps those of a run from before the place was kept with their number', async () => {
    const { id } = (await createBatchJobRun({ jobName: 'own-loop', status: 'failed', failedItems: 3, body: {} })) as { id: string };
    await insertFailures(id, 1, [{ seq: 0, key: '7', message: 'no good', fingerprint: 'f' }]);
    await knex('batch_job_run_cursor').insert({ runId: id, attempt: 1, cursor: { at: 7 } });
    await post(`/runs/${id}/resume`);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', failedItems: 3 });
    expect(await BatchJobRun.listFailures(id)).toHaveLength(1);
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
    expect(refused.body.detail).toMatch(new RegExp(`^The failed items of run ${careless}, which has succeeded at \\S+Z, cannot be retried alone: its job never asked for run.onlyKeys.*Write in the job: const { onlyKeys } = currentRun\\(\\);`));
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
    expect((await retryFailed(id)).body.detail).toMatch(new RegExp(`^Items of run ${id}, which is lost since \\S+Z, failed, and it is not known which`));
    expect(await rowOf(id)).toMatchObject({ status: 'lost', failedItems: 1, asksForKeys: null });
  });
});
