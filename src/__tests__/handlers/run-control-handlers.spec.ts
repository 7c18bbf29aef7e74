import request from 'supertest';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { doneIds, useItemTable } from '../helpers/item-table.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { testApp } from '../helpers/test-app.js';
import { untilLost } from '../helpers/until-lost.js';
import { waitingQueries } from '../helpers/until-queries-wait.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const app = testApp();
const post = (path: string, body: object = {}) => request(app).post(path).send(body);

useItemTable();
afterEach(async () => {
  await killServiceProcesses();
  // What the killed service ran is nobody's, and must not be taken for a run of the next test.
  await knex('batch_job_run').where({ status: 'running' }).update({ status: 'lost', finishedAt: knex.fn.now() });
});

/** So many retries of the run that all wait for its row, which is held until then. They are answered in `answered` as they end. */
/** Connections of the pool of claims. Others wait for one of them. */
const CLAIMS_AT_ONCE = 2;

async function retriesThatMeet(id: string, count: number): Promise<{ all: Promise<request.Response[]>; answered: request.Response[] }> {
  const holding = await knex.transaction();
  try {
    await holding('batch_job_run').where({ id }).forUpdate();
    for (;;) {
      const answered: request.Response[] = [];
      const retry = async () => {
        const answer = await post(`/runs/${id}/retry`);
        answered.push(answer);
        return answer;
      };
      const all = Promise.all(Array.from({ length: count }, retry));
      const met = await waitUntil('as many as can wait for the row', async () => ((await waitingQueries()) === Math.min(count, CLAIMS_AT_ONCE) ? 'yes' : answered.length > 0 && 'no'));
      if (met === 'yes') return { all, answered };
      // A busy machine: the first one had waited for as long as it may (lock_timeout) before the last one came.
      await all;
    }
  } finally {
    await holding.rollback();
  }
}

describe('a dry run', () => {
  it('that writes all the same is refused by Postgres, and the answer names the statement', async () => {
    const answer = await post('/jobs/writes', { isDryRun: true, forgetsDryRun: true });
    expect(answer.status).toBe(500);
    expect(answer.body.detail).toMatch(/^A dry run may not write, and the job tried UPDATE item\./);
    expect(await doneIds()).toEqual([]);
    expect(await BatchJobRun.find(answer.body.runId)).toMatchObject({ status: 'failed', isDryRun: true, writes: null });
  });

  it('walks through all rows and writes nothing', async () => {
    const answer = await post('/jobs/writes', { isDryRun: true });
    expect(answer.body).toEqual({ isDryRun: true, processed: 100, succeeded: 100, failed: 0 });
    expect(answer.headers['job-run-writes']).toBe('{}');
  });
});

describe('what a run wrote', () => {
  it('is on its row, in its answer and in GET /runs/:id', async () => {
    const answer = await post('/jobs/writes');
    expect(answer.body).toEqual({ isDryRun: false, processed: 100, succeeded: 100, failed: 0 });
    expect(JSON.parse(answer.headers['job-run-writes']!)).toEqual({ item: { update: 100 } });
    const { body } = await request(app).get(answer.headers.location!);
    expect(body).toMatchObject({ writes: { item: { update: 100 } }, progress: { processed: 100, succeeded: 100, failed: 0 } });
  });

  it('is shown while it runs, with its progress', async () => {
    const running = post('/jobs/writes', { pauseMs: 40 }).then((answer) => answer);
    const { id } = await untilRunning('writes');
    const run = await waitUntil('it reports', async () => {
      const found = await BatchJobRun.find(id);
      return found?.status === 'running' && found.writes && found.progress ? found : undefined;
    });
    expect(run.writes).toEqual({ item: { update: expect.any(Number) } });
    expect((await running).status).toBe(200);
  });
});

describe('cancelling', () => {
  it('ends a query that would take a minute, and the run is cancelled', async () => {
    const running = post('/jobs/holds-connections', { count: 1, seconds: 60 }).then((answer) => answer);
    const { id } = await untilRunning('holds-connections');
    const started = performance.now();
    const cancelled = await post(`/runs/${id}/cancel`);
    expect(cancelled.status).toBe(200);
    expect(cancelled.body).toMatchObject({ id, status: 'cancelled' });
    const answer = await running;
    expect(answer.status).toBe(409);
    expect(answer.body.detail).toBe('The run was cancelled.');
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it('works at another replica than the one that runs it', async () => {
    const replica = await startServiceProcess();
    const running = callJob(replica, 'holds-connections', { count: 1, seconds: 60 });
    const { id } = await untilRunning('holds-connections');
    expect((await post(`/runs/${id}/cancel`)).status).toBe(200);
    expect((await running).status).toBe(409);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'cancelled', errorName: 'RunCancelled' });
  });

  it('stops between two rows', async () => {
    const running = post('/jobs/writes', { pauseMs: 50 }).then((answer) => answer);
    const { id } = await untilRunning('writes');
    await post(`/runs/${id}/cancel`);
    expect((await running).status).toBe(409);
    expect(await knex('item').where('isDone', false)).not.toEqual([]);
  });

  it('gives up after a while on a job that ignores it', async () => {
    const running = post('/jobs/waits', { ms: 20_000, deaf: true }).then((answer) => answer);
    const { id } = await untilRunning('waits');
    expect((await post(`/runs/${id}/cancel`)).status).toBe(202);
    expect((await running).status).toBe(409);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'cancelled' });
  });

  it('is refused for a run that has ended, and for none', async () => {
    const { headers } = await post('/jobs/no-op');
    const refused = await post(`${headers.location}/cancel`);
    expect([refused.status, refused.body.detail]).toEqual([409, expect.stringMatching(/^Run \S+ has succeeded at \S+Z, so there is nothing to cancel\.$/)]);
    expect((await post('/runs/018f0000-0000-7000-8000-000000000000/cancel')).status).toBe(404);
  });
});

describe('starting a run again', () => {
  it('resumes from the cursor: no row twice, none passed over', async () => {
    const replica = await startServiceProcess({ RUN_LEASE: '2s' });
    callJob(replica, 'writes', { pauseMs: 20 }).catch(() => undefined);
    const { id } = await untilRunning('writes');
    await waitUntil('it got somewhere', async () => (await doneIds()).length >= 20);
    replica.child.kill('SIGKILL');
    await untilLost(id);
    const resumed = await post(`/runs/${id}/resume`);
    expect(resumed.status).toBe(200);
    expect(resumed.headers['job-run-id']).toBe(id);
    expect(resumed.body).toMatchObject({ processed: 100, succeeded: 100 });
    expect(await knex('item').where('isDone', false).orWhere('times', '<>', 1)).toEqual([]);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', attempt: 2 });
  });

  it('keeps what failed with the run, by kind', async () => {
    const first = await post('/jobs/writes', { failing: [7, 50], maxFailures: 1 });
    expect(first.status).toBe(500);
    const id = first.body.runId as string;
    const { body } = await request(app).get(`/runs/${id}/failures`);
    expect(body.groups).toEqual([{ fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/), count: 2, message: 'item 7 is no good' }]);
    expect(body.failures.map(({ message }: { message: string }) => message)).toEqual(['item 7 is no good', 'item 50 is no good']);
    const csv = await request(app).get(`/runs/${id}/failures`).set('Accept', 'text/csv');
    expect(csv.text.split('\r\n')[0]).toBe('key,message,fingerprint,at');
    expect(csv.text.split('\r\n')).toHaveLength(4);
    // The batches before the one that had a failure too many are done, and would not be done again.
    expect(await BatchJobRun.find(id)).toMatchObject({ attempt: 1, cursor: { steps: { 1: { processed: 40 } } } });
  });

  it('retries just the failed items of a run that succeeded, as a run of its own', async () => {
    const first = await post('/jobs/writes', { failing: [7, 50] });
    expect(first.body).toMatchObject({ processed: 100, succeeded: 98, failed: 2 });
    const id = first.headers['job-run-id'] as string;
    // The same body fails the same rows; what counts is that it looks at no other.
    const retried = await post(`/runs/${id}/retry?only=failed`);
    expect(retried.body).toMatchObject({ status: 500, data: { processed: 2, succeeded: 0, failed: 2 } });
    expect(await BatchJobRun.find(retried.headers['job-run-id'] as string)).toMatchObject({ parentRunId: id, status: 'failed' });
    expect(await BatchJobRun.find(id)).toMatchObject({ attempt: 1 });
    const none = await post('/jobs/writes');
    expect((await post(`/runs/${none.headers['job-run-id']}/retry?only=failed`)).status).toBe(409);
  });

  it('begins anew when it is retried', async () => {
    const first = await post('/jobs/throws', { status: 409, data: 'not yet' });
    const retried = await post(`/runs/${first.body.runId}/retry`);
    expect(retried.status).toBe(409);
    expect(await BatchJobRun.find(first.body.runId)).toMatchObject({ attempt: 2, body: { status: 409, data: 'not yet' } });
  });

  it('is refused for a run that succeeded or runs, with what may be', async () => {
    const { headers } = await post('/jobs/no-op');
    const refused = await post(`${headers.location}/retry`);
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toMatch(/^Run \S+ has succeeded at \S+Z: there is nothing to start again\./);
    expect((await post(`${headers.location}/retry?only=some`)).status).toBe(400);
  });

  it('by three at the same moment is one attempt, and the other two are told why', async () => {
    const running = post('/jobs/holds-connections', { count: 1, seconds: 60 }).then((answer) => answer);
    const { id } = await untilRunning('holds-connections');
    await post(`/runs/${id}/cancel`);
    await running;

    const answers = await retriesThatMeet(id, 3);
    // Cancelled only now: an attempt that ended earlier could be retried once more, and rightly.
    const refused = await waitUntil('two are refused', () => (answers.answered.length >= 2 ? [...answers.answered] : undefined));
    expect(refused.map(({ status, body }) => [status, body.detail])).toEqual([1, 2].map(() => [409, expect.stringMatching(/^Run \S+ is running since \S+Z on \S+, so it cannot be started again/)]));
    await untilRunning('holds-connections');
    await post(`/runs/${id}/cancel`);
    expect((await answers.all).map(({ body }) => body.detail as string)).toContain('The run was cancelled.');
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'cancelled', attempt: 2 });
  });
});

describe('a rehearsal', () => {
  it('passes a job that heeds its dry run and is idempotent', async () => {
    const { status, body } = await post('/jobs/writes/rehearse');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      verdict: 'passed',
      steps: [
        { step: 'dry run', processed: 100, writes: {}, verdict: 'passed' },
        { step: 'real run', processed: 100, writes: { item: { update: 100 } }, verdict: 'passed' },
        { step: 'second run', processed: 0, writes: {}, verdict: 'passed' },
      ],
    });
    const [dry, real] = await Promise.all(body.steps.map(({ runId }: { runId: string }) => BatchJobRun.find(runId)));
    expect(dry).toMatchObject({ isDryRun: true });
    expect(real).toMatchObject({ isDryRun: false, parentRunId: dry.id });
  });

  it('fails a job that writes again the second time', async () => {
    const { status, body } = await post('/jobs/writes/rehearse', { isRepeating: true });
    expect(status).toBe(422);
    expect(body.steps[2]).toMatchObject({ verdict: 'failed', reason: 'the second run wrote again: the job is not idempotent' });
  });

  it('warns of items that fail, in each of its runs, and says where to see them', async () => {
    const { status, body } = await post('/jobs/writes/rehearse', { failing: [7, 50] });
    expect(status).toBe(200);
    const [dry, real, second] = body.steps as { runId: string }[];
    const see = ({ runId }: { runId: string }) => expect.stringContaining(`GET /runs/${runId}/failures`);
    expect(body).toMatchObject({
      verdict: 'warning',
      steps: [
        { processed: 100, failed: 2, verdict: 'warning', reason: expect.stringMatching(/^2 of 100 failed\. See them by: /) },
        { processed: 100, failed: 2, verdict: 'warning', reason: see(real!) },
        // Only they are left, so that this run failed.
        { status: 'failed', processed: 2, succeeded: 0, failed: 2, verdict: 'warning', reason: see(second!) },
      ],
    });
    expect((await request(app).get(`/runs/${dry!.runId}/failures`)).body.failures).toHaveLength(2);
  });

  it('fails when more items fail in the second run than in the first, although no other is left', async () => {
    await knex.raw(`create function add_items() returns trigger language plpgsql as $$ begin insert into item (id) values (101), (102); return new; end $$;
      create trigger adds_items after update on item for each row when (new.id = 1) execute function add_items()`);
    try {
      const { status, body } = await post('/jobs/writes/rehearse', { failing: [7, 101, 102] });
      expect(status).toBe(422);
      expect(body.steps).toMatchObject([{ failed: 1 }, { failed: 1, verdict: 'warning' }, { processed: 3, failed: 3, verdict: 'failed', reason: expect.stringContaining('Every item failed: 3 of 3') }]);
    } finally {
      await knex.raw('drop function add_items cascade');
    }
  });

  it('ends after a dry run of which every item failed', async () => {
    const { status, body } = await post('/jobs/writes/rehearse', { failing: Array.from({ length: 100 }, (_, n) => n + 1) });
    expect(status).toBe(422);
    expect(body.steps).toMatchObject([{ step: 'dry run', processed: 100, failed: 100, verdict: 'failed', reason: expect.stringContaining('Every item failed: 100 of 100') }]);
    expect(await doneIds()).toEqual([]);
  });

  it('ends after a dry run that fails, with nothing written', async () => {
    const { status, body } = await post('/jobs/writes/rehearse', { forgetsDryRun: true });
    expect(status).toBe(422);
    expect(body.steps).toMatchObject([{ step: 'dry run', verdict: 'failed' }]);
    expect(await doneIds()).toEqual([]);
  });

  it('is refused for a job that has no dry run', async () => {
    const { status, body } = await post('/jobs/echo/rehearse');
    expect(status).toBe(400);
    expect(body.detail).toMatch(/cannot be rehearsed/);
  });
});
