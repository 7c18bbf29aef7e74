import knex from '@commons/backend/lib/knex.js';
import { inTurn } from '@commons/backend/lib/process/loop-turns.js';
import { inPieces } from '@commons/backend/lib/database/piece-length.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

afterEach(killServiceProcesses);

describe('many large bodies at once', () => {
  beforeEach(() => knex('batch_job_run').delete());

  it('are each answered with their outcome or a 503 that says when to come again, and kill nothing', async () => {
    // A lease of 5 s: the watchdog ends a process whose event loop stands still for 10 s.
    const service = await startServiceProcess({ RUN_LEASE: '5s' });
    const bodies = [{ text: '"\\'.repeat(230_000) }, { list: Array.from({ length: 300_000 }, () => ({})) }, { list: Array.from({ length: 450_000 }, () => 1) }];
    const answers = Promise.all(Array.from({ length: 30 }, (_, n) => callJob(service, 'echo', bodies[n % bodies.length])));
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200);
    const statuses = new Set<number>();
    for (const answer of await answers) {
      statuses.add(answer.status);
      if (answer.status === 503) expect(answer.headers.get('retry-after')).toEqual(expect.stringMatching(/^\d+$/));
      await answer.arrayBuffer();
    }
    expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([]);
    expect(statuses).toContain(200);
    expect(service.child.exitCode).toBeNull();
    const kept = await BatchJobRun.list({ jobName: 'echo', limit: 100 });
    expect(kept.map(({ status }) => status)).toEqual(kept.map(() => 'succeeded'));
  });

  it('never have more runs going than MAX_ACTIVE_RUNS, even when they come in one burst', async () => {
    const service = await startServiceProcess({ MAX_ACTIVE_RUNS: '1' });
    const burst = [1, 2, 3, 4, 5].map(() => callJob(service, 'waits', { ms: 2_000 }));
    const statuses = (await Promise.all(burst)).map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([200, 503, 503, 503, 503]);
    expect(await BatchJobRun.list({ jobName: 'waits', limit: 10 })).toHaveLength(1);
    // A caller that hangs up leaves its run, and so its place, behind.
    const caller = new AbortController();
    fetch(`${service.url}/jobs/waits`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"ms":3000}', signal: caller.signal }).catch(() => undefined);
    await untilRunning('waits');
    caller.abort();
    expect((await callJob(service, 'no-op')).status).toBe(503);
    await waitUntil('the place is free again', async () => (await callJob(service, 'no-op')).status === 200);
  });

  it('have runs inside runs, which need no place of their own', async () => {
    const service = await startServiceProcess({ MAX_ACTIVE_RUNS: '1', REDACTION_KEY: 'a redaction key of the tests, long enough' });
    const answer = await callJob(service, 'handles-patients', { mode: 'sub-runs', phone: '555-0100-77' });
    // Its last sub-run fails, and it with that one: none of them was refused.
    expect(answer.status).toBe(500);
    expect(await BatchJobRun.list({ jobName: 'call-fails', limit: 2 })).toHaveLength(1);
  });

  it('are written as they came, whichever lane they take', async () => {
    const service = await startServiceProcess();
    for (const length of [10, 4_000, 5_000, 300_000]) {
      const body = { text: `"\\{},é😀${'x"'.repeat(length)}` };
      const answer = await callJob(service, 'echo', body);
      expect(await answer.json()).toEqual({ echo: body });
      const run = await BatchJobRun.find(answer.headers.get('job-run-id')!);
      expect(run).toMatchObject({ status: 'succeeded', body });
      if (length < 100_000) expect(run!.result).toEqual({ echo: body });
    }
  });
});

describe('inTurn', () => {
  it('lets timers and others in between long steps, keeps their order, and passes on what they throw', async () => {
    const seen: (number | string)[] = [];
    const busy = (ms: number) => {
      for (const until = performance.now() + ms; performance.now() < until; );
    };
    const steps = [1, 2, 3].map((n) => inTurn(() => (busy(15), seen.push(n))));
    setImmediate(() => seen.push('another'));
    await Promise.all(steps);
    expect(seen.filter((each) => typeof each === 'number')).toEqual([1, 2, 3]);
    expect(seen.indexOf('another')).toBeLessThan(seen.indexOf(3));
    await expect(inTurn(() => { throw new Error('its own'); })).rejects.toThrow('its own');
    await expect(inTurn(async () => 'awaited')).resolves.toBe('awaited');
  });
});

describe('inPieces', () => {
  it('keeps to the bounds, in order, and gives a piece of its own to what is too big', () => {
    const bounds = { mostItems: 3, mostBytes: 10, bytesOf: (n: number) => n };
    expect([...inPieces([1, 1, 1, 1, 8, 3, 99, 1], bounds)]).toEqual([[1, 1, 1], [1, 8], [3], [99], [1]]);
    expect([...inPieces([], bounds)]).toEqual([]);
  });
});
