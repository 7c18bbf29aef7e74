import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const newestRun = async (jobName: string) => (await BatchJobRun.list({ jobName, limit: 1 }))[0];

afterEach(async () => {
  await killServiceProcesses();
  // What the killed service ran is nobody's, and must not be taken for a run of the next test.
  await knex('batch_job_run').where({ status: 'running' }).update({ status: 'lost', finishedAt: knex.fn.now() });
});

describe('SIGTERM', () => {
  it('ends an idle service at once, with code 0', async () => {
    const service = await startServiceProcess();
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
  });

  it('fires the signal of an active run, whose caller gets 503 and whose row says interrupted', async () => {
    const service = await startServiceProcess();
    const answer = callJob(service, 'waits', { ms: 60_000 });
    const run = await untilRunning('waits');
    service.child.kill('SIGTERM');
    const { status, headers } = await answer;
    expect(status).toBe(503);
    expect(headers.get('retry-after')).not.toBeNull();
    expect(await service.exited).toBe(0);
    expect(await BatchJobRun.find(run.id)).toMatchObject({ status: 'interrupted', httpStatus: 503 });
  });

  it('lets a run that ends within the grace end well, while new ones are refused with 503', async () => {
    const service = await startServiceProcess();
    const answer = callJob(service, 'waits', { ms: 3_000, deaf: true });
    const run = await untilRunning('waits');
    service.child.kill('SIGTERM');
    await waitUntil('it is unready', async () => (await fetch(`${service.url}/readyz`)).status === 503);
    const refused = await callJob(service, 'no-op');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect((await answer).status).toBe(200);
    expect(await service.exited).toBe(0);
    expect(await BatchJobRun.find(run.id)).toMatchObject({ status: 'succeeded' });
  });

  it('gives up on a deaf run when the grace is over: interrupted, 503, and code 0', async () => {
    const service = await startServiceProcess({ SHUTDOWN_GRACE: '1s' });
    const answer = callJob(service, 'waits', { ms: 60_000, deaf: true });
    const run = await untilRunning('waits');
    service.child.kill('SIGTERM');
    expect((await answer).status).toBe(503);
    expect(await service.exited).toBe(0);
    expect(await BatchJobRun.find(run.id)).toMatchObject({ status: 'interrupted' });
  });

  it('does not wait for what the connection of a job is busy with: interrupted, 503, and code 0 soon after the grace', async () => {
    const service = await startServiceProcess({ SHUTDOWN_GRACE: '1s' });
    const answer = callJob(service, 'holds-connections', { count: 1, seconds: 60 });
    const run = await untilRunning('holds-connections');
    const since = performance.now();
    service.child.kill('SIGTERM');
    expect((await answer).status).toBe(503);
    expect(await service.exited).toBe(0);
    expect(performance.now() - since).toBeLessThan(30_000);
    expect(await BatchJobRun.find(run.id)).toMatchObject({ status: 'interrupted' });
  });

  it('ends at once when it comes a second time', async () => {
    const service = await startServiceProcess({ SHUTDOWN_GRACE: '60s' });
    callJob(service, 'waits', { ms: 60_000, deaf: true }).catch(() => undefined);
    await untilRunning('waits');
    service.child.kill('SIGTERM');
    await waitUntil('it stops', () => service.output().includes('Stopping (SIGTERM)'));
    // One that comes right away is the echo of the first: npm and tsx pass on what the terminal has sent them all.
    service.child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(service.child.exitCode).toBeNull();
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(143);
  });
});

describe('a port that is taken', () => {
  it('ends the start with one line that says what to do', async () => {
    const { url } = await startServiceProcess();
    const second = startServiceProcess({ PORT: new URL(url).port }, { untilReady: false });
    await expect(second).rejects.toThrow(/^the service ended:\nPORT: 127\.0\.0\.1:\d+ is in use\. .* set PORT to another one\.\n$/);
  });
});

describe('a process that dies', () => {
  it('leaves runs that another replica marks as lost once their lease has passed', async () => {
    const dying = await startServiceProcess({ RUN_LEASE: '2s' });
    const answer = callJob(dying, 'waits', { ms: 60_000 });
    const run = await untilRunning('waits');
    dying.child.kill('SIGKILL');
    await expect(answer).rejects.toThrow();
    const other = await startServiceProcess({ RUN_LEASE: '2s' });
    await waitUntil('the run is lost', async () => (await BatchJobRun.find(run.id))?.status === 'lost');
    await waitUntil('it is logged', () => other.output().includes(`Run ${run.id} of waits is lost`));
    expect(await BatchJobRun.find(run.id)).toMatchObject({ errorName: 'RunLost', leaseUntil: null });
  });

  it('is told from one that lives: a run longer than its lease is not lost', async () => {
    const service = await startServiceProcess({ RUN_LEASE: '1s' });
    const answer = await callJob(service, 'waits', { ms: 4_000 });
    expect(answer.status).toBe(200);
  });

  it('leaves a lost run also when the job itself called process.exit(0)', async () => {
    const service = await startServiceProcess({ RUN_LEASE: '2s' });
    await expect(callJob(service, 'exits')).rejects.toThrow();
    expect(await service.exited).toBe(0);
    const run = await newestRun('exits');
    await startServiceProcess({ RUN_LEASE: '2s' });
    await waitUntil('the run is lost', async () => (await BatchJobRun.find(run!.id))?.status === 'lost');
  });
});

describe('a job that blocks the event loop', () => {
  it('is told by a thread of its own, which ends the process; the run is lost', async () => {
    const service = await startServiceProcess({ RUN_LEASE: '1s' });
    const answer = callJob(service, 'blocks', {});
    await expect(answer).rejects.toThrow();
    expect(await service.exited).toBe('SIGKILL');
    const run = await newestRun('blocks');
    expect(service.output()).toContain(`The event loop was blocked for 2 s: ending the process. Active runs: blocks ${run!.id}`);
    await startServiceProcess({ RUN_LEASE: '1s' });
    await waitUntil('the run is lost', async () => (await BatchJobRun.find(run!.id))?.status === 'lost');
  });

  it('is named with its run in one line of JSON where the log is structured, also when it blocks at once, and without its body', async () => {
    const service = await startServiceProcess({ RUN_LEASE: '1s', DEPLOYMENT: 'staging' });
    await expect(callJob(service, 'blocks', { atOnce: true, email: 'jane.doe@example.com' })).rejects.toThrow();
    expect(await service.exited).toBe('SIGKILL');
    const run = await newestRun('blocks');
    const lines = service.output().split('\n').filter((line) => line.includes('The event loop was blocked'));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      severity: 'CRITICAL',
      message: `The event loop was blocked for 2 s: ending the process. Active runs: blocks ${run!.id}`,
      'logging.googleapis.com/labels': { tag: 'watchdog', jobName: 'blocks', runId: run!.id },
      data: { activeRuns: [{ runId: run!.id, jobName: 'blocks' }], starting: 0 },
    });
    expect(service.output()).not.toContain('jane.doe');
  });
});

describe('a promise that a job let go of', () => {
  it('harms nobody when it rejects, and is logged with its run', async () => {
    const service = await startServiceProcess();
    const answer = await callJob(service, 'detached-rejection');
    expect(answer.status).toBe(200);
    await waitUntil('it is logged', () => service.output().includes('nobody awaited this'));
    const id = answer.headers.get('job-run-id')!;
    await waitUntil('it is kept with the run', async () => {
      const { lines } = (await (await fetch(`${service.url}/runs/${id}/logs`)).json()) as { lines: { message: string }[] };
      return lines.some(({ message }) => message.includes('nobody awaited this'));
    });
    expect((await callJob(service, 'no-op')).status).toBe(200);
  });
});
