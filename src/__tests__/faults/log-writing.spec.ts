import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const RUN_LEASE_MS = 3_000;

/** Locks a table until the returned function is called. */
async function lock(table: string): Promise<() => Promise<unknown>> {
  const trx = await knex.transaction();
  await trx.raw(`lock table ${table} in access exclusive mode`);
  return () => trx.rollback();
}

const messagesOf = async (runId: string): Promise<string[]> => (await knex('batch_job_run_log').where({ runId }).orderBy('seq')).map(({ message }) => message);

beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe('a log table that somebody locks', () => {
  it('keeps neither outcomes nor leases waiting, and gets its lines once it is free', async () => {
    const service = await startServiceProcess({ RUN_LEASE: `${RUN_LEASE_MS}ms` });
    const unlock = await lock('batch_job_run_log');
    try {
      const began = performance.now();
      // One that outlasts its lease several times, among many that log and end.
      const long = callJob(service, 'waits', { ms: 4 * RUN_LEASE_MS });
      const answers = await Promise.all(Array.from({ length: 40 }, () => callJob(service, 'logs', { lines: 30 })));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      // Each waited for its lines for a second at most, and not for the ten that a statement may take.
      expect(performance.now() - began).toBeLessThan(10_000);
      expect(await BatchJobRun.list({ jobName: 'logs', statuses: ['succeeded'], limit: 100 })).toHaveLength(40);
      expect((await long).status).toBe(200);
      expect(await BatchJobRun.list({ jobName: 'waits', limit: 2 })).toMatchObject([{ status: 'succeeded', attempt: 1 }]);
      expect(service.output()).not.toMatch(/renewing leases/);
      await unlock();
      const ids = answers.map(({ headers }) => headers.get('job-run-id')!);
      await waitUntil('all lines are there', async () => (await Promise.all(ids.map(messagesOf))).every((messages) => messages.length === 32), 90_000);
      expect((await messagesOf(ids[0]!)).slice(0, 3)).toEqual(['line 1', 'line 2', 'line 3']);
      // It was said what went wrong, and not for each run and each try.
      const said = service.output().match(/keeping the logs? of/g) ?? [];
      expect(said.length).toBeGreaterThan(0);
      expect(said.length).toBeLessThan(5);
    } finally {
      await unlock();
    }
  });

  it('does not keep a service from stopping, which says how many lines are lost', async () => {
    const service = await startServiceProcess({ SHUTDOWN_GRACE: '3s' });
    const unlock = await lock('batch_job_run_log');
    try {
      expect((await callJob(service, 'logs', { lines: 5 })).status).toBe(200);
      service.child.kill('SIGTERM');
      expect(await service.exited).toBe(0);
      expect(service.output()).toMatch(/7 lines of runs' logs are lost/);
    } finally {
      await unlock();
    }
  });
});

describe('a service that stops', () => {
  it('has written the lines of runs that it interrupted', async () => {
    const service = await startServiceProcess({ SHUTDOWN_GRACE: '1s' });
    const answer = callJob(service, 'waits', { ms: 60_000 });
    const run = await untilRunning('waits');
    service.child.kill('SIGTERM');
    expect((await answer).status).toBe(503);
    expect(await service.exited).toBe(0);
    expect((await messagesOf(run.id))[0]).toBe('Waiting');
  });

  it('lets whoever reads the log right after the answer find it', async () => {
    const service = await startServiceProcess();
    for (let n = 0; n < 5; n++) {
      const { headers } = await callJob(service, 'logs', { lines: 10 });
      const answer = await fetch(`${service.url}/runs/${headers.get('job-run-id')}/logs`);
      expect(((await answer.json()) as { lines?: unknown[] }).lines ?? []).toHaveLength(12);
    }
  });
});
