import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import knex from '@commons/backend/lib/knex.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';
import { BatchJob } from '@commons/backend/models/batch-job.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { waitUntil } from '../helpers/wait-until.js';

const newest = async (jobName: string) => (await BatchJobRun.find((await BatchJobRun.list({ jobName, limit: 1 }))[0]!.id))!;

describe('BatchJob.findOrCreateByName', () => {
  it('makes one row for a name, however many ask at once', async () => {
    const jobs = await Promise.all(Array.from({ length: 10 }, () => BatchJob.findOrCreateByName('asked-at-once')));
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(1);
  });

  it('makes the row anew when it has gone since it was seen', async () => {
    await BatchJobRun.trap('goes-away', async () => 1);
    await knex('batch_job_run').where({ jobName: 'goes-away' }).delete();
    await knex('batch_job').where({ name: 'goes-away' }).delete();
    await expect(BatchJobRun.trap('goes-away', async () => 2)).resolves.toBe(2);
  });
});

describe('BatchJobRun.create', () => {
  it.each([[{ batchJobId: '00000000-0000-7000-8000-000000000000' }], [undefined], ['']])('refuses %j, and shows the right call', async (argument) => {
    const runs = async () => (await BatchJobRun.list({ limit: 500 })).length;
    const before = await runs();
    await expect((BatchJobRun.create as (name: unknown) => Promise<unknown>)(argument)).rejects.toThrow("BatchJobRun.create takes the job's name: BatchJobRun.create('sync-one-clinic')");
    expect(await runs()).toBe(before);
  });
});

describe('BatchJobRun.trap', () => {
  it('settles as its work does, with the run on record by then', async () => {
    await expect(BatchJobRun.trap('traps', async (run) => run.jobName)).resolves.toBe('traps');
    expect(await newest('traps')).toMatchObject({ status: 'succeeded', trigger: 'run', result: 'traps' });
    const error = new StatusError(409, 'no');
    await expect(BatchJobRun.trap('traps', () => Promise.reject(error))).rejects.toBe(error);
    expect(await newest('traps')).toMatchObject({ status: 'failed', httpStatus: 409 });
  });

  it('records a run inside a run as its child, and as a dry run when that is one', async () => {
    await BatchJobRun.trap('outer', async () => BatchJobRun.trap('inner', async () => 1, { isDryRun: false }), { isDryRun: true });
    const outer = await newest('outer');
    expect(await newest('inner')).toMatchObject({ parentRunId: outer.id, isDryRun: true });
  });

  it('does not take the timeout of a run inside for its own', async () => {
    const inside = () => BatchJobRun.trap('slow-inside', () => delay(60_000, undefined, { signal: currentRun().signal }), { timeoutMs: 100 });
    await expect(BatchJobRun.trap('patient', inside)).rejects.toMatchObject({ name: 'RunTimedOut' });
    expect(await newest('slow-inside')).toMatchObject({ status: 'timed_out', httpStatus: 504 });
    expect(await newest('patient')).toMatchObject({ status: 'failed', httpStatus: 500 });
  });

  it('tells a run inside, also one that starts later, that the outer one was stopped', async () => {
    const reasons: unknown[] = [];
    const work = async () => {
      await delay(300);
      await BatchJobRun.trap('starts-late', async () => reasons.push(currentRun().signal.aborted));
    };
    await expect(BatchJobRun.trap('times-out', work, { timeoutMs: 100 })).rejects.toMatchObject({ name: 'RunTimedOut' });
    await waitUntil('the late one ran', () => reasons.length > 0);
    expect(reasons).toEqual([true]);
  });

  it('keeps the name, the message and what the caller was told of an error that is too long', async () => {
    const error = new StatusError(422, { rows: Array.from({ length: 10_000 }, (_, n) => ({ line: n, reason: 'no good' })) });
    await expect(BatchJobRun.trap('too-long', () => Promise.reject(error))).rejects.toBe(error);
    expect(await newest('too-long')).toMatchObject({ errorName: 'StatusError', errorMessage: 'status 422', httpStatus: 422 });
  });

  it('refuses a name that cannot be stored as what will not pass by itself', async () => {
    await expect(BatchJobRun.trap('x'.repeat(201), async () => 1)).rejects.toMatchObject({ status: 500 });
  });

  it('takes a timeout that no timer can wait for the longest there is', async () => {
    await expect(BatchJobRun.trap('endless', () => delay(50, 'done'), { timeoutMs: Infinity })).resolves.toBe('done');
  });
});

describe('BatchJobRun.create and complete', () => {
  it('record a run by hand', async () => {
    const { id } = await BatchJobRun.create('by-hand');
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'running' });
    await BatchJobRun.complete(id, false);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'failed', errorName: 'SubRunFailed' });
    await expect(BatchJobRun.complete(id, true)).rejects.toThrow(/completed already/);
  });

  it('record as failed what the run around them did not complete', async () => {
    const id = await BatchJobRun.trap('forgets', async () => (await BatchJobRun.create('forgotten')).id);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'failed', errorName: 'SubRunAbandoned' });
  });
});

describe('a row that somebody has locked', () => {
  it('holds up its own run, and no other', async () => {
    const holder = new pg.Client(process.env.DATABASE_URL);
    await holder.connect();
    let isLocked = false;
    const locked = BatchJobRun.trap('locked', async ({ id }) => {
      await holder.query('begin');
      await holder.query('select 1 from batch_job_run where id = $1 for update', [id]);
      isLocked = true;
      return 'locked';
    });
    await waitUntil('it is locked', () => isLocked);
    const started = performance.now();
    await BatchJobRun.trap('not-locked', async () => 1);
    await BatchJobRun.trap('not-locked', async () => 1);
    expect(performance.now() - started).toBeLessThan(10_000);
    await holder.end();
    await expect(locked).resolves.toBe('locked');
  });
});

describe('a sub-run that is made late', () => {
  const failed = { status: 'failed', error: { name: 'SubRunAbandoned' } };
  const only = async (jobName: string) => {
    const [run] = await BatchJobRun.list({ jobName, limit: 2 });
    return run && BatchJobRun.find(run.id);
  };

  it('by a job that does not await it is recorded as failed, and is not left running', async () => {
    await BatchJobRun.trap('forgets', async () => {
      void BatchJobRun.create('forgotten').catch(() => undefined);
    });
    await waitUntil('it has ended', async () => (await only('forgotten'))?.status === 'failed');
    expect(await only('forgotten')).toMatchObject(failed);
  });

  it('by what a run has left behind is refused', async () => {
    let late: Promise<unknown> | undefined;
    await BatchJobRun.trap('leaves', async () => {
      late = delay(200).then(() => BatchJobRun.create('too-late'));
      late.catch(() => undefined);
    });
    await expect(late).rejects.toThrow(/^run .* has ended, so nothing can be recorded inside it any more: await what the job begins$/);
    expect(await only('too-late')).toBeUndefined();
  });
});
