import { once } from 'node:events';
import pg from 'pg';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import logger from '@commons/backend/lib/logging.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { schemaFault } from '@commons/backend/lib/database/schema-check.js';
import { waitUntil } from '../helpers/wait-until.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';

const job: Job = {
  slug: 'says-nothing', file: 'says-nothing.ts',
  load: () => ({ RequestBody: undefined, config: {}, timeoutMs: undefined, handler: async () => ({ ok: true }) }),
};

afterEach(async () => {
  jest.restoreAllMocks();
  await killServiceProcesses();
});

it('the outcome of a run without failed items is recorded while somebody has their table locked', async () => {
  const locker = new pg.Client(process.env.DATABASE_URL);
  await locker.connect();
  await locker.query('begin; lock table batch_job_run_failure in access exclusive mode');
  try {
    expect(await runJob(job, { trigger: 'http', body: {} })).toMatchObject({ recorded: 'recorded', outcome: { status: 'succeeded' } });
  } finally {
    await locker.end();
  }
});

it('lines that are dropped are told in the log of the service, once the line that did not fit is done, and outside the run', async () => {
  const told: { inRun: boolean; whileLogging: boolean }[] = [];
  let isLogging = false;
  jest.spyOn(logger, 'error').mockImplementation((_error, options) => {
    if (JSON.stringify(options).includes('keeping the log of a run')) told.push({ inRun: tryCurrentRun() !== undefined, whileLogging: isLogging });
  });
  const floods: Job = {
    ...job,
    load: () => ({ RequestBody: undefined, config: {}, timeoutMs: undefined, async handler() {
      isLogging = true;
      for (let line = 0; line < 9_000; line++) logger.log('x'.repeat(7_000), 'floods');
      isLogging = false;
    } }),
  };
  await runJob(floods, { trigger: 'http', body: {} });
  await waitUntil('it was told', () => told.length > 0);
  expect(told).toContainEqual({ inRun: false, whileLogging: false });
  expect(told).not.toContainEqual(expect.objectContaining({ whileLogging: true }));
});

it('a database that takes no writes, as after a failover, is said to be that', async () => {
  const admin = new pg.Client(process.env.DATABASE_URL);
  await admin.connect();
  const { rows } = await admin.query<{ name: string }>('select current_database() as name');
  const cut = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
  const other = admin.query.bind(admin);
  try {
    await other(`alter database "${rows[0]!.name}" set default_transaction_read_only = on`);
    await other(cut);
    // A connection that was cut is heard of at its next use at the latest.
    const fault = await schemaFault([]).catch(() => schemaFault([])).catch(() => schemaFault([]));
    expect(fault).toContain('read-only');
  } finally {
    await other(`begin read write; alter database "${rows[0]!.name}" reset default_transaction_read_only; commit`);
    await other(cut);
    await admin.end();
  }
});

it('an exception that nobody caught, thrown by a job, stops the service in order', async () => {
  const service = await startServiceProcess({ REDACTION_KEY: 'a redaction key of the tests, long enough' });
  void callJob(service, 'handles-patients', { mode: 'uncaught' }).catch(() => undefined);
  expect(await service.exited).toBe(1);
  for (const stream of [service.child.stdout!, service.child.stderr!]) if (!stream.readableEnded) await once(stream, 'end');
  expect(service.output()).toContain('nobody caught this exception');
  expect(service.output()).not.toContain('stopping did not go in order');
});
