import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, type ServiceProcess, startServiceProcess } from '../helpers/service-process.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const scheduled = (jobName: string, time = '2026-11-23T06:00:00Z') => ({ 'X-CloudScheduler-JobName': jobName, 'X-CloudScheduler-ScheduleTime': time });

const runs = (jobName: string) => BatchJobRun.list({ jobName, limit: 100 });
const auditOf = (runId: string) => knex('audit_event').where({ runId, action: 'run' });

const RUN_LEASE = '15s';

/** A delivery of `waits` whose process is killed (with -9) while it runs. Its lease lasts until the test shortens it, however slowly the machine starts the next service. */
async function killedDelivery(): Promise<void> {
  const service = await startServiceProcess({ RUN_LEASE: '10m' });
  callJob(service, 'waits', { ms: 60_000 }, scheduled('waits')).catch(() => undefined);
  await untilRunning('waits');
  service.child.kill('SIGKILL');
  await service.exited;
}

const again = (service: ServiceProcess, signal?: AbortSignal) =>
  fetch(`${service.url}/jobs/waits`, { method: 'POST', headers: { 'Content-Type': 'application/json', ...scheduled('waits') }, body: '{"ms":100}', ...(signal && { signal }) });

/** The service that the delivery comes to again, 5 s before the killed one's lease passes. */
async function serviceBeforeLoss(env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
  const service = await startServiceProcess({ RUN_LEASE, ...env });
  await knex('batch_job_run').where({ jobName: 'waits', status: 'running' }).update({ leaseUntil: knex.raw(`now() + interval '5 s'`) });
  return service;
}

beforeEach(() => knex('batch_job_run').delete());
afterEach(killServiceProcesses);

describe('a delivery that comes again after the process was killed', () => {
  it('within the lease is not told 2xx while nobody knows how the first one ended: it waits, and runs it again once it is lost', async () => {
    await killedDelivery();
    const service = await serviceBeforeLoss();
    const answer = await again(service);
    expect([answer.status, await answer.json()]).toEqual([200, { waited: 100 }]);
    expect(await runs('waits')).toMatchObject([{ status: 'succeeded', attempt: 2 }]);
    const { id } = (await runs('waits'))[0]!;
    expect(await auditOf(id)).toHaveLength(2);
  });

  it('many times is run by one of them alone, and those that wait keep no other run out', async () => {
    await killedDelivery();
    const service = await serviceBeforeLoss({ MAX_ACTIVE_RUNS: '2' });
    const isAnswered = { any: false };
    const waiting: Promise<Response>[] = [];
    // They come one by one: while it is being looked up each one has a place.
    for (let n = 0; n < 5; n++) {
      waiting.push(again(service).finally(() => (isAnswered.any = true)));
      await waitUntil('there is a place', async () => (await callJob(service, 'no-op')).status !== 503);
    }
    expect(isAnswered.any).toBe(false);
    const answers = await Promise.all(waiting);
    // One runs it; whoever found no place just then is told to come again.
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
    for (const { status, headers } of answers) if (status !== 200) expect([status, headers.get('retry-after')]).toEqual([503, expect.any(String)]);
    expect(await runs('waits')).toMatchObject([{ status: 'succeeded', attempt: 2 }]);
  });

  it('is not run for a caller that hung up while it waited', async () => {
    await killedDelivery();
    const service = await serviceBeforeLoss();
    const caller = new AbortController();
    const answer = again(service, caller.signal);
    setTimeout(() => caller.abort(), 1_000);
    await expect(answer).rejects.toThrow(/abort/);
    await waitUntil('it is lost', async () => (await runs('waits'))[0]?.status === 'lost');
    // Whoever still waited would look four times a second.
    await delay(1_000);
    expect(await runs('waits')).toMatchObject([{ status: 'lost', attempt: 1 }]);
    // Another delivery finds it as it was left.
    expect((await again(service)).status).toBe(200);
    expect(await runs('waits')).toMatchObject([{ attempt: 2 }]);
  });
});

describe('a delivery that comes twice', () => {
  it('while its run goes on is told to come again, and never 2xx', async () => {
    const service = await startServiceProcess({ RUN_LEASE: '1s' });
    const answers = [1, 2].map(() => callJob(service, 'waits', { ms: 60_000 }, scheduled('waits')));
    for (const answer of answers) answer.catch(() => undefined); // One of them is still out when the service is killed.
    const told = await Promise.race(answers);
    expect([told.status, told.headers.get('retry-after'), told.headers.get('location')]).toEqual([503, '5', `/runs/${told.headers.get('job-run-id')}`]);
    expect(await told.json()).toMatchObject({ detail: expect.stringContaining('still going') });
    expect(await runs('waits')).toMatchObject([{ attempt: 1, status: 'running' }]);
  });

  it('has one entry in the audit trail, whether its run goes on meanwhile or has ended', async () => {
    const service = await startServiceProcess();
    const deliver = () => callJob(service, 'waits', { ms: 1_000 }, scheduled('waits'));
    const answers = [...(await Promise.all([deliver(), deliver()])), await deliver()];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const [run] = await runs('waits');
    expect(await auditOf(run!.id)).toHaveLength(1);
    expect(await knex('audit_event').where({ jobName: 'waits', action: 'run' }).whereNot({ runId: run!.id }).where('at', '>=', run!.startedAt)).toEqual([]);
  });

  it('and fails twice keeps its body with personal data, so that a person can retry it', async () => {
    const service = await startServiceProcess({ REDACTION_KEY: 'a redaction key of the tests, long enough', BODY_KEYS: randomBytes(32).toString('base64') });
    const deliver = () => callJob(service, 'handles-patients', { mode: 'throws', phone: '555-0100-77' }, scheduled('handles-patients'));
    expect([(await deliver()).status, (await deliver()).status]).toEqual([500, 500]);
    const [run] = await runs('handles-patients');
    expect(run).toMatchObject({ attempt: 2, status: 'failed' });
    const retried = await fetch(`${service.url}/runs/${run!.id}/retry`, { method: 'POST' });
    // It failed as it did before: with its body, and not for want of one (409).
    expect(retried.status).toBe(500);
    expect(await runs('handles-patients')).toMatchObject([{ attempt: 3, status: 'failed' }]);
  });
});
