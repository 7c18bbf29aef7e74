import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { closeDatabase, onDatabaseClose } from '@commons/backend/lib/database/database.js';
import knex from '@commons/backend/lib/knex.js';
import { createZipCode } from '../helpers/factories/zip-code-factory.js';
import { PostgresProcess } from '../helpers/postgres-process.js';
import { callJob, killServiceProcesses, type ServiceProcess, startServiceProcess } from '../helpers/service-process.js';
import { waitUntil } from '../helpers/wait-until.js';

const dataFolder = mkdtempSync(path.join(tmpdir(), 'commons-faults-'));
const postgres = new PostgresProcess(dataFolder);

beforeAll(() => postgres.start());
afterEach(async () => {
  await killServiceProcesses();
  // What the killed service ran is nobody's, and must not be taken for a run of the next test.
  await postgres.query(`update batch_job_run set status = 'lost', "finishedAt" = now() where status = 'running'`);
});
afterAll(async () => {
  await postgres.stop();
  rmSync(dataFolder, { recursive: true, force: true });
});

const start = (env: NodeJS.ProcessEnv = {}, options = {}) => startServiceProcess({ DATABASE_URL: postgres.url, DATABASE_ACQUIRE_TIMEOUT: '1s', ...env }, options);
const statusOf = async (service: ServiceProcess, path_: string) => (await fetch(`${service.url}${path_}`)).status;
const count = async (jobName: string) => Number((await postgres.query('select count(*) from batch_job_run where "jobName" = $1', [jobName]))[0]!.count);
const rowOf = async (id: string | null) => (await postgres.query('select * from batch_job_run where id = $1', [id]))[0];
const untilRunning = (jobName: string) =>
  waitUntil(`${jobName} runs`, async () => (await postgres.query(`select id from batch_job_run where "jobName" = $1 and status = 'running'`, [jobName]))[0]);

describe('a database that is down', () => {
  it('when the service starts: it lives, is not ready, answers 503, and recovers by itself', async () => {
    await postgres.stop();
    const service = await start({}, { untilReady: false });
    expect(await statusOf(service, '/healthz')).toBe(200);
    expect(await statusOf(service, '/readyz')).toBe(503);
    const refused = await callJob(service, 'no-op');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    await postgres.start();
    await waitUntil('it is ready', async () => (await statusOf(service, '/readyz')) === 200);
    expect((await callJob(service, 'no-op')).status).toBe(200);
  });

  it('before a run\'s row is written: 503, no row, and the job is not run', async () => {
    const service = await start();
    const before = await count('logs');
    await postgres.stop();
    expect((await callJob(service, 'logs')).status).toBe(503);
    expect(await statusOf(service, '/readyz')).toBe(503);
    await postgres.start();
    await waitUntil('it is ready', async () => (await statusOf(service, '/readyz')) === 200);
    expect(await count('logs')).toBe(before);
    expect(service.output()).not.toContain('line 1');
    expect((await callJob(service, 'logs')).status).toBe(200);
  });

  it('while a job runs: the run goes on, and its outcome is recorded once the database is back', async () => {
    const service = await start();
    const answer = callJob(service, 'waits', { ms: 1_500 });
    const { id } = await untilRunning('waits');
    await postgres.stop();
    // The job ends meanwhile; its outcome waits.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await postgres.start();
    const { status } = await answer;
    expect({ status, said: status === 200 ? '' : service.output() }).toEqual({ status: 200, said: '' });
    expect(await rowOf(String(id))).toMatchObject({ status: 'succeeded', result: { waited: 1_500 } });
  });

  it('at the final write, for longer than the deadline: 500 that says the outcome is unknown, with the run\'s id', async () => {
    const service = await start({ OUTCOME_DEADLINE: '1s' });
    const answer = callJob(service, 'waits', { ms: 1_500 });
    const { id } = await untilRunning('waits');
    await postgres.stop();
    const { status, headers } = await answer;
    await postgres.start();
    expect(status).toBe(500);
    expect(headers.get('job-run-id')).toBe(id);
    expect(await rowOf(String(id))).toMatchObject({ status: 'running' });
    expect(service.output()).toContain('recording the outcome of a run');
  });
});

describe('connections that break', () => {
  it('under load are replaced, and no run fails for it', async () => {
    const service = await start({ DATABASE_ACQUIRE_TIMEOUT: '30s' });
    let isDone = false;
    const breaking = (async () => {
      while (!isDone) {
        await postgres.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'commons-recorder'`);
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    })();
    const statuses: number[] = [];
    await Promise.all(Array.from({ length: 10 }, async () => {
      for (let n = 0; n < 40; n++) statuses.push((await callJob(service, 'no-op')).status);
    }));
    isDone = true;
    await breaking;
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await postgres.query(`select status from batch_job_run where "jobName" = 'no-op' and status <> 'succeeded'`)).toEqual([]);
  });

  it('to a server that went read-only give 503, and are renewed when it is writable again', async () => {
    const service = await start();
    await callJob(service, 'no-op');
    await postgres.query('alter database postgres set default_transaction_read_only = on');
    await postgres.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'commons-%'`);
    expect((await callJob(service, 'no-op')).status).toBe(503);
    await postgres.query('begin; set transaction read write; alter database postgres set default_transaction_read_only = off; commit');
    await waitUntil('runs are taken again', async () => (await callJob(service, 'no-op')).status === 200);
  });

  it('and the jobs\' own to such a server are not handed out again', async () => {
    const backend = async () => ((await knex.raw('select pg_backend_pid() as pid')) as { rows: { pid: number }[] }).rows[0]!.pid;
    const before = await backend();
    await knex.raw('set default_transaction_read_only = on');
    await expect(createZipCode()).rejects.toMatchObject({ code: '25006' });
    expect(await createZipCode()).toMatchObject({ city: 'New York' });
    expect(await backend()).not.toBe(before);
  });
});

describe('a pool that jobs have used up', () => {
  it('gives other jobs that need it 503, while runs are recorded and leases renewed', async () => {
    const service = await start({ DATABASE_POOL_MAX: '2', RUN_LEASE: '2s' });
    const holding = callJob(service, 'holds-connections', { count: 2, seconds: 6 });
    await untilRunning('holds-connections');
    expect((await callJob(service, 'no-op')).status).toBe(200);
    const starved = await callJob(service, 'holds-connections', { count: 1, seconds: 0 });
    expect(starved.status).toBe(503);
    expect(await rowOf(starved.headers.get('job-run-id'))).toMatchObject({ status: 'failed', httpStatus: 503 });
    expect((await holding).status).toBe(200);
  });
});

describe('a run whose row was taken from it', () => {
  it('does not overwrite it, and its caller gets no success', async () => {
    const service = await start();
    const answer = callJob(service, 'waits', { ms: 2_000 });
    const { id } = await untilRunning('waits');
    await postgres.query(`update batch_job_run set status = 'lost', "finishedAt" = now() where id = $1`, [id]);
    expect((await answer).status).toBe(500);
    expect(await rowOf(String(id))).toMatchObject({ status: 'lost', result: null });
  });
});

describe('a lease that passes while the database is away', () => {
  it('fires the run\'s signal', async () => {
    const service = await start({ RUN_LEASE: '1s', OUTCOME_DEADLINE: '1s' });
    const answer = callJob(service, 'waits', { ms: 60_000 });
    await untilRunning('waits');
    await postgres.stop();
    expect((await answer).status).toBe(500);
    expect(service.output()).toContain('renewing leases');
    await postgres.start();
  });
});

describe('closing the database', () => {
  it('waits for no connection in use longer than about a second, lets no pool that fails keep others open, and can be repeated', async () => {
    const closed = jest.fn(async () => undefined);
    onDatabaseClose(closed);
    onDatabaseClose(() => {
      throw new Error('this pool does not close');
    });
    onDatabaseClose(() => new Promise(() => undefined));
    const since = performance.now();
    await closeDatabase();
    expect(performance.now() - since).toBeLessThan(2_500);
    expect(closed).toHaveBeenCalledTimes(1);
    await closeDatabase();
    expect(closed).toHaveBeenCalledTimes(1);
  });
});
