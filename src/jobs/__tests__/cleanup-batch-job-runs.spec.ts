import { randomBytes } from 'node:crypto';
import main, { cleanupBatchJobRuns } from '@commons/backend/jobs/cleanup-batch-job-runs.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { daysAgo } from '@commons/backend/__tests__/helpers/days-ago.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { RunRetention } from '@commons/backend/models/run-retention.js';

jest.mock('@commons/backend/lib/logging.js');

const buildRequest = (body: any) => ({ body }) as any;


let made = 0;
/** A UUID v7 of that time; of one time, the later made is the greater. */
const idAt = (time: Date) => {
  const hex = `${time.getTime().toString(16).padStart(12, '0')}7${(made++ % 4_096).toString(16).padStart(3, '0')}8${randomBytes(8).toString('hex').slice(1)}`;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
};

interface Made {
  jobName?: string;
  status?: string;
  createdAt?: Date;
  finishedAt?: Date | null;
  logLines?: number;
}

/** A run that was made, and by default finished, `age` days ago. @returns its id */
async function createRun(age: number, { jobName = 'job', status = 'succeeded', createdAt = daysAgo(age), finishedAt = createdAt, logLines = 0 }: Made = {}) {
  const id = idAt(createdAt);
  await knex.raw('insert into batch_job (id, name) values (?, ?) on conflict do nothing', [idAt(new Date()), jobName]);
  await knex('batch_job_run').insert({ id, jobName, status, trigger: 'run', startedAt: createdAt, finishedAt });
  for (let seq = 0; seq < logLines; seq++) {
    await knex('batch_job_run_log').insert({ runId: id, seq, at: createdAt, level: 'info', message: `line ${seq}` });
  }
  return id;
}

const createRuns = async (count: number, age: number, options?: Made) => {
  const ids: string[] = [];
  while (ids.length < count) ids.push(await createRun(age, options));
  return ids;
};

const runIds = (): Promise<string[]> => knex('batch_job_run').orderBy('id').pluck('id');
const logRunIds = (): Promise<string[]> => knex('batch_job_run_log').distinct('runId').orderBy('runId').pluck('runId');

const nothing = { processed: 0, succeeded: 0, failed: 0, deletedRuns: 0, deletedLogLines: 0 };

beforeEach(async () => {
  jest.mocked(logger.log).mockReset();
  await knex.raw('truncate batch_job cascade');
});

describe('cleanupBatchJobRuns', () => {
  it.each([
    ['no body', undefined],
    ['an age below nothing', { olderThanDays: -1 }],
    ['an age before all time', { olderThanDays: 1e9 }],
    ['half a run', { keepPerJob: 0.5 }],
    ['a batch of none', { batchSize: 0 }],
    ['a limit of none', { limit: 0 }],
    ['a number as text', { olderThanDays: '90' }],
    ['a flag as text', { isDryRun: 'false' }],
  ])('refuses %s', async (_what, body) => {
    await createRun(1_000);
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(await runIds()).toHaveLength(1);
  });

  it('finds nothing to do where there is nothing', async () => {
    await expect(cleanupBatchJobRuns({})).resolves.toEqual({ isDryRun: false, olderThanDays: 90, keepPerJob: 100, batchSize: 1_000, ...nothing });
  });

  it('deletes runs that finished longer ago than asked, and their logs', async () => {
    const old = await createRuns(3, 91, { logLines: 2 });
    const young = await createRuns(2, 89, { logLines: 1 });
    await expect(cleanupBatchJobRuns({ keepPerJob: 0 })).resolves.toMatchObject({ processed: 3, succeeded: 3, failed: 0, deletedRuns: 3, deletedLogLines: 6 });
    expect(old).toHaveLength(3);
    expect(await runIds()).toEqual(young);
    expect(await logRunIds()).toEqual(young);
  });

  it("keeps the newest runs of every job, however old they are", async () => {
    const often = await createRuns(5, 200, { jobName: 'often' });
    const rarely = await createRuns(2, 300, { jobName: 'rarely' });
    await expect(cleanupBatchJobRuns({ keepPerJob: 2 })).resolves.toMatchObject({ deletedRuns: 3 });
    expect(await runIds()).toEqual([...rarely, ...often.slice(-2)]);
  });

  it('counts a young run among the newest', async () => {
    const [, second] = await createRuns(2, 200);
    const young = await createRun(1);
    await expect(cleanupBatchJobRuns({ keepPerJob: 2 })).resolves.toMatchObject({ deletedRuns: 1 });
    expect(await runIds()).toEqual([second, young]);
  });

  it.each(['queued', 'running'])('never deletes a run that is %s, not even one that had finished before', async (status) => {
    const ids = [await createRun(200, { status, finishedAt: null }), await createRun(100, { status })];
    await expect(cleanupBatchJobRuns({ olderThanDays: 0, keepPerJob: 0 })).resolves.toMatchObject(nothing);
    expect(await runIds()).toEqual(ids);
  });

  it.each(['succeeded', 'failed', 'timed_out', 'cancelled', 'interrupted', 'lost', 'skipped'])('deletes one that is %s', async (status) => {
    await createRun(200, { status });
    await expect(cleanupBatchJobRuns({ keepPerJob: 0 })).resolves.toMatchObject({ deletedRuns: 1 });
  });

  it('never deletes its own run, not even when that was taken for lost', async () => {
    const id = await createRun(1, { status: 'lost', jobName: 'cleanup-batch-job-runs' });
    const run = new TestRun({ id, jobName: 'cleanup-batch-job-runs' });
    const cleanup = () => cleanupBatchJobRuns({ olderThanDays: 0, keepPerJob: 0 });
    await expect(run.do(cleanup)).resolves.toMatchObject(nothing);
    await expect(cleanup()).resolves.toMatchObject({ deletedRuns: 1 });
  });

  it('goes by when a run finished, not by when it was made', async () => {
    const waitedLong = await createRun(200, { finishedAt: daysAgo(1) });
    await createRun(1, { finishedAt: daysAgo(200) });
    await expect(cleanupBatchJobRuns({ keepPerJob: 0 })).resolves.toMatchObject({ deletedRuns: 1 });
    expect(await runIds()).toEqual([waitedLong]);
  });

  it('deletes in batches, and passes over what stays among them', async () => {
    const kept: string[] = [];
    for (let i = 0; i < 10; i++) {
      await createRun(200 - i);
      if (i % 3 === 0) kept.push(await createRun(200 - i, { status: 'running', finishedAt: null }));
    }
    await expect(cleanupBatchJobRuns({ keepPerJob: 0, batchSize: 3 })).resolves.toMatchObject({ processed: 10, deletedRuns: 10 });
    expect(await runIds()).toEqual(kept);
    const batches = jest.mocked(logger.log).mock.calls.filter(([message]) => message.startsWith('Processed'));
    expect(batches.length).toBeGreaterThanOrEqual(4);
  });

  it.each([1, 4, 5, 6, 100])('deletes %d runs at most when that is the limit', async (limit) => {
    const ids = [...(await createRuns(5, 300, { jobName: 'a' })), ...(await createRuns(5, 300, { jobName: 'b' }))];
    const deleted = Math.min(limit, 10);
    await expect(cleanupBatchJobRuns({ keepPerJob: 0, batchSize: 3, limit })).resolves.toMatchObject({ processed: deleted, deletedRuns: deleted });
    expect(await runIds()).toEqual(ids.slice(deleted));
  });

  it('finds the old runs of more jobs than one query lists', async () => {
    await knex.raw(`
      insert into batch_job (id, name) select gen_random_uuid(), 'job-' || i from generate_series(1, 501) i;
      insert into batch_job_run (id, "jobName", status, trigger, "finishedAt")
        select gen_random_uuid(), 'job-' || i, 'succeeded', 'run', now() - interval '200 days' from generate_series(1, 501) i`);
    await expect(cleanupBatchJobRuns({ keepPerJob: 0 })).resolves.toMatchObject({ deletedRuns: 501 });
    expect(await runIds()).toEqual([]);
  });

  it('says in a dry run what it would delete, and deletes nothing', async () => {
    const ids = await createRuns(7, 200, { logLines: 2 });
    await expect(cleanupBatchJobRuns({ keepPerJob: 1, batchSize: 4, isDryRun: true })).resolves.toMatchObject({
      isDryRun: true,
      processed: 6,
      succeeded: 6,
      deletedRuns: 6,
      deletedLogLines: 12,
    });
    expect(await runIds()).toEqual(ids);
    await expect(cleanupBatchJobRuns({ keepPerJob: 1, isDryRun: true, limit: 2 })).resolves.toMatchObject({ processed: 2, deletedLogLines: 4 });
  });

  it('leaves a run to the next cleanup that another transaction holds', async () => {
    const [held, free] = await createRuns(2, 200, { logLines: 1 });
    await knex.transaction(async (trx) => {
      await trx('batch_job_run').where({ id: held }).forUpdate();
      await expect(cleanupBatchJobRuns({ keepPerJob: 0 })).resolves.toMatchObject({ processed: 2, succeeded: 1, failed: 1, deletedRuns: 1, deletedLogLines: 1 });
    });
    expect(await runIds()).toEqual([held]);
    expect(free).toBeDefined();
    await expect(cleanupBatchJobRuns({ keepPerJob: 0 })).resolves.toMatchObject({ deletedRuns: 1 });
  });

  it('leaves a run alone that was started again since it was found', async () => {
    const [again, gone] = await createRuns(2, 200, { status: 'failed', logLines: 1 });
    const rule = { since: daysAgo(90), keepPerJob: 0, exceptRunId: undefined };
    for await (const old of RunRetention.findOldRuns(rule, 10)) {
      expect(old).toEqual({ jobName: 'job', ids: [again, gone] });
      await knex('batch_job_run').where({ id: again }).update({ status: 'running', finishedAt: null });
      await expect(RunRetention.deleteOldRuns(old.ids, rule)).resolves.toEqual({ logLines: 1, kept: new Set([again]) });
    }
    expect(await runIds()).toEqual([again]);
    expect(await logRunIds()).toEqual([again]);
  });

  it('stops between two batches when its run is to stop', async () => {
    await createRuns(10, 200);
    const run = new TestRun({ id: idAt(new Date()), jobName: 'cleanup-batch-job-runs' });
    jest.mocked(logger.log).mockImplementation((message: string) => {
      if (message.startsWith('Processed')) run.controller.abort(new Error('the service stops'));
    });
    const cleanup = () => cleanupBatchJobRuns({ keepPerJob: 0, batchSize: 4 });
    await expect(run.do(cleanup)).rejects.toThrow('the service stops');
    expect(run.reports.at(-1)).toMatchObject({ processed: 4, succeeded: 4, failed: 0 });
    expect(await runIds()).toHaveLength(6);
  });
});

describe('how old runs are found', () => {
  it('finds all of an imported history, whose ids are younger than its runs', async () => {
    await createRuns(7, 1, { finishedAt: daysAgo(200) });
    await expect(cleanupBatchJobRuns({ keepPerJob: 0, batchSize: 2 })).resolves.toMatchObject({ deletedRuns: 7 });
  });

  it('reads no further than one batch beyond what is old', async () => {
    await createRuns(3, 200);
    await knex.raw(`
      insert into batch_job_run (id, "jobName", status, trigger, "finishedAt")
      select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - 5000 + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
        'job', 'succeeded', 'run', now()
      from generate_series(1, 5000) i`);
    const query = jest.fn();
    knex.on('query', query);
    await expect(cleanupBatchJobRuns({ keepPerJob: 0, batchSize: 100, isDryRun: true })).resolves.toMatchObject({ deletedRuns: 3 });
    knex.removeListener('query', query);
    expect(query.mock.calls.length).toBeLessThan(8);
  });
});
