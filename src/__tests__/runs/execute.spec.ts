import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import { RunInterrupted } from '@commons/backend/lib/errors/service-error.js';
import { envConfig } from '@commons/backend/lib/env-config.js';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { type CurrentRun, currentRun, runOutsideScope, tryRunScope } from '@commons/backend/lib/run-scope.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import type { ActiveRun } from '@commons/backend/runs/active-run.js';
import { activeRuns } from '@commons/backend/runs/active-runs.js';
import { claimRun } from '@commons/backend/runs/claim.js';
import { executeRun } from '@commons/backend/runs/execute.js';
import { prepareRun } from '@commons/backend/runs/prepare.js';
import type { RunStart } from '@commons/backend/runs/run-start.js';
import { createBatchJobRun } from '../helpers/factories/batch-job-run-factory.js';
import { rowOf } from '../helpers/new-run.js';
import { waitUntil } from '../helpers/wait-until.js';

const JOB = 'is-executed';

async function claimed(start: RunStart = {}): Promise<ActiveRun> {
  const claim = await claimRun(JOB, start);
  if (claim.kind !== 'claimed') throw new Error(`it is ${claim.kind}`);
  return claim.run;
}

const linesOf = (runId: string) => knex('batch_job_run_log').where({ runId }).orderBy('seq').pluck('message');
const leaseOf = async (id: string) => (await rowOf(id))?.leaseUntil as Date | null;

afterEach(() => expect(activeRuns().size).toBe(0));

describe('a run that was claimed', () => {
  it('is executed later, by something that knows no request and no run: outcome, log and writes are its own', async () => {
    const run = await claimed({ trigger: 'queue', body: { n: 1 }, trace: 'a-trace' });
    expect(activeRuns().has(run)).toBe(true);
    const seen: CurrentRun[] = [];
    // As a worker does it: from its own loop.
    const worker = AsyncLocalStorage.snapshot();
    const finished = await worker(() => runOutsideScope(async () => {
      await delay(50);
      expect(tryRunScope()).toBeUndefined();
      return executeRun(run, {
        async perform(own) {
          seen.push(own, currentRun());
          logger.log('working', JOB);
          await knex('zip_code').where({ city: 'none' }).delete();
          await BatchJobRun.trap('inside', async () => 1);
          return { done: true };
        },
      });
    }));
    expect(finished).toMatchObject({ kind: 'finished', id: run.id, attempt: 1, recorded: 'recorded', outcome: { status: 'succeeded', httpStatus: 200, text: '{"done":true}' } });
    expect(seen).toEqual([run, run]);
    expect(await rowOf(run.id)).toMatchObject({ status: 'succeeded', trigger: 'queue', result: { done: true }, leaseUntil: null, finishedAt: expect.any(Date) });
    expect(await linesOf(run.id)).toEqual(['working']);
    expect((await BatchJobRun.list({ jobName: 'inside', limit: 1 }))[0]).toMatchObject({ parentRunId: run.id });
  });

  it('is a job\'s: prepared by whoever asks, claimed, and executed by a worker that has no request to give', async () => {
    const handler = jest.fn(async ({ body }: { body: unknown }) => ({ got: body as { n: number } }));
    const job: Job = { slug: JOB, file: `${JOB}.ts`, load: () => ({ handler: handler as never, RequestBody: z.object({ n: z.number() }), config: {}, timeoutMs: 5_000 }) };
    const { start, work } = await prepareRun(job, { trigger: 'queue', body: { n: 1 } });
    const run = await claimed(start);
    const finished = await runOutsideScope(() => executeRun(run, work));
    expect(finished).toMatchObject({ id: start.id, outcome: { status: 'succeeded', text: '{"got":{"n":1}}' } });
    expect(await rowOf(run.id)).toMatchObject({ status: 'succeeded', body: { n: 1 } });
  });

  it('has its whole time from when its work begins, however long it waited for that', async () => {
    const run = await claimed({ timeoutMs: 60_000 });
    await delay(30);
    const executedAt = Date.now();
    await executeRun(run, { perform: (own) => own.deadline.getTime() });
    expect(run.deadline.getTime()).toBeGreaterThanOrEqual(executedAt + 60_000);
  });

  it('keeps its lease from its claim on, though nobody has begun to execute it', async () => {
    const run = await claimed();
    const first = await leaseOf(run.id);
    await waitUntil('it is renewed', async () => (await leaseOf(run.id))! > first!, envConfig().runLease);
    await executeRun(run, { perform: () => 1 });
    expect(await leaseOf(run.id)).toBeNull();
  });

  it('is not begun once its lease has passed: another process may have taken it for lost, and have begun it anew', async () => {
    const run = await claimed();
    run.leaseUntil = performance.now() - 1;
    const perform = jest.fn();
    await expect(executeRun(run, { perform })).resolves.toMatchObject({ outcome: { status: 'failed', httpStatus: 500 } });
    expect(perform).not.toHaveBeenCalled();
  });

  it('is not begun once it was given up on', async () => {
    const run = await claimed();
    run.giveUp(new RunInterrupted());
    const perform = jest.fn();
    await expect(executeRun(run, { perform })).resolves.toMatchObject({ outcome: { status: 'interrupted' }, recorded: 'recorded' });
    expect(perform).not.toHaveBeenCalled();
  });

  it('counts as active until its outcome is recorded, and no longer', async () => {
    const run = await claimed();
    let goOn = (): void => undefined;
    const executing = executeRun(run, { perform: () => new Promise<void>((resolve) => (goOn = resolve)) });
    expect(activeRuns().has(run)).toBe(true);
    goOn();
    await executing;
    expect(activeRuns().has(run)).toBe(false);
  });

  it.each([
    ['throws', () => Promise.reject(new StatusError(422, 'no')), { status: 'failed', httpStatus: 422 }],
    ['throws where it stands', () => { throw new StatusError(409, 'no'); }, { status: 'failed', httpStatus: 409 }],
    ['returns what cannot be sent', () => ({ toJSON() { throw new Error('no'); } }), { status: 'failed', httpStatus: 500 }],
    ['passes its timeout', () => delay(60_000, undefined, { signal: currentRun().signal }), { status: 'timed_out', httpStatus: 504 }],
  ])('has its outcome recorded when its work %s, and never rejects', async (_how, perform, outcome) => {
    const run = await claimed({ timeoutMs: 200 });
    expect(await executeRun(run, { perform })).toMatchObject({ recorded: 'recorded', outcome });
    expect(await rowOf(run.id)).toMatchObject(outcome);
  });

  it('fails with the fault that was found before its work could begin', async () => {
    const run = await claimed();
    const fault = new StatusError(400, 'the body does not fit');
    expect(await executeRun(run, { fault })).toMatchObject({ settled: { thrown: fault }, outcome: { status: 'failed', httpStatus: 400 } });
    expect(await rowOf(run.id)).toMatchObject({ status: 'failed', httpStatus: 400 });
  });

  it('whose row was taken from it changes nothing there, and says so', async () => {
    const run = await claimed();
    await knex('batch_job_run').where({ id: run.id }).update({ status: 'lost' });
    const before = await rowOf(run.id);
    expect(await executeRun(run, { perform: () => 1 })).toMatchObject({ recorded: 'fenced' });
    expect(await rowOf(run.id)).toEqual(before);
  });

  it('goes on as its next attempt from where it was', async () => {
    const ended = await createBatchJobRun({ jobName: JOB, status: 'lost', onlyKeys: JSON.stringify([3, 4]) });
    const id = String(ended.id);
    await knex('batch_job_run_cursor').insert({ runId: id, attempt: 1, cursor: { at: 7 } });
    const run = await claimed({ restart: { id, attempt: 1, keepCursor: true } });
    const { outcome } = await executeRun(run, { perform: ({ cursor, onlyKeys, attempt }) => ({ cursor, onlyKeys, attempt }) });
    expect(JSON.parse(outcome.text!)).toEqual({ cursor: { at: 7 }, onlyKeys: [3, 4], attempt: 2 });
  });
});
