import request from 'supertest';
import { z } from 'zod';
import { BodyCheck } from '@commons/backend/runs/body-check.js';
import knex from '@commons/backend/lib/knex.js';
import { inTurn } from '@commons/backend/lib/process/loop-turns.js';
import logger from '@commons/backend/lib/logging.js';
import { newRunId } from '@commons/backend/runs/records/run-id.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { BatchJobRunLog } from '@commons/backend/models/batch-job-run-log.js';
import { RequestBody } from '../fixtures/jobs/checks-in-database.js';
import { testApp } from '../helpers/test-app.js';
import { waitUntil } from '../helpers/wait-until.js';

const app = testApp();
const EMAIL = 'ada.lovelace@example.org';

beforeAll(() => knex.raw('create table written (n int)'));
afterEach(() => knex('written').del());
afterAll(() => knex.destroy());

const check = (mode: string, more: object = {}) => request(app).post('/jobs/checks-in-database').send({ mode, email: EMAIL, ...more });
const written = async (): Promise<number> => Number((await knex('written').count())[0]!.count);
const logOf = async (runId: string) => JSON.stringify(await BatchJobRunLog.listLines(runId, { after: undefined, limit: 100 }));

describe('a RequestBody that asks the database', () => {
  it.each([[false], [true]])('may read (dry run: %s), and its lines are in the log of the run, without the personal data of the body', async (isDryRun) => {
    const answer = await check('reads', { isDryRun });
    expect([answer.status, answer.body]).toEqual([200, { ran: true }]);
    const log = await logOf(answer.headers['job-run-id']!);
    expect(log).toContain('checking [Personal]');
    expect(log).not.toContain(EMAIL);
  });

  it.each([[false], [true]])('may not write (dry run: %s), and the run says so', async (isDryRun) => {
    const answer = await check('writes', { isDryRun });
    expect(answer.status).toBe(500);
    expect(answer.body.detail).toMatch(/RequestBody tried to write/);
    expect(await written()).toBe(0);
    const run = await BatchJobRun.find(answer.headers['job-run-id']!);
    expect(run).toMatchObject({ status: 'failed', isDryRun });
    expect(JSON.stringify(run)).not.toContain(EMAIL);
  });

  it('may not write once the check is over', async () => {
    const warn = jest.spyOn(logger, 'warn');
    const answer = await check('writes-later');
    expect(answer.status).toBe(200);
    await waitUntil('the write that the schema left behind was refused', () => warn.mock.calls.some(([text]) => text === 'refused: RunStopped'));
    expect(await written()).toBe(0);
  });
});

describe('a RequestBody that waits for ever', () => {
  it('is given up on in time, and its query is ended on the server', async () => {
    const check = new BodyCheck({ id: newRunId(), jobName: 'checks-in-database', trace: undefined, scrubber: undefined }, 2_000);
    await expect(check.parse(RequestBody, { mode: 'waits', email: EMAIL })).rejects.toMatchObject({ status: 504, message: "The job's RequestBody did not check the body in 2 s." });
    await waitUntil('its query has ended', async () => {
      const { rows } = await knex.raw(`select count(*)::int as n from pg_stat_activity where state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`);
      return rows[0].n === 0;
    });
  });
});

it('can start no runs, since its own is not on record yet', async () => {
  for (const start of [() => BatchJobRun.trap('inside', () => 1), () => BatchJobRun.create('inside')]) {
    const check = new BodyCheck({ id: newRunId(), jobName: 'any', trace: undefined, scrubber: undefined });
    await expect(check.parse(z.any().refine(async () => (await start(), true)), {})).rejects.toThrow('it can start no runs');
  }
});

it('has the time of its check from its turn on, however long it waits for that', async () => {
  const busy = Array.from({ length: 5 }, () => inTurn(() => { for (const until = performance.now() + 400; performance.now() < until; ); }));
  const check = new BodyCheck({ id: newRunId(), jobName: 'any', trace: undefined, scrubber: undefined }, 1_000);
  await expect(check.parse(z.object({}), {})).resolves.toEqual({});
  await Promise.all(busy);
});

it('cannot report progress, failures or checkpoints, since its run is not on record yet', async () => {
  for (const act of [async () => currentRun().progress({}), async () => currentRun().failure({ key: 1, error: 'x' }), () => currentRun().checkpoint(1)]) {
    const check = new BodyCheck({ id: newRunId(), jobName: 'any', trace: undefined, scrubber: undefined });
    await expect(check.parse(z.any().refine(async () => (await act(), true)), {})).rejects.toThrow('checks the body before the run begins');
  }
});
