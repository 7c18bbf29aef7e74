import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, type ServiceProcess, startServiceProcess } from '../helpers/service-process.js';
import { waitUntil } from '../helpers/wait-until.js';

const ROWS = 3_000;
const KILLS = 8;
const ENV = { RUN_LEASE: '1s' };

/** Batches that are committed, whichever process does it. */
let commits = 0;

beforeAll(async () => {
  await knex.raw(`
    create table item (id int primary key, times int not null default 0);
    create table ledger ("itemId" int not null, attempt int not null);
    insert into item select generate_series(1, ${ROWS})`);
});
afterEach(killServiceProcesses);

const newestRun = async () => (await BatchJobRun.list({ jobName: 'counts-writes', limit: 1 }))[0];

/** Starts the run, or its next attempt, in `service`. @returns its answer, which never comes if the service is killed */
async function startAttempt(service: ServiceProcess): Promise<{ answer: Promise<Response | undefined> }> {
  const run = await newestRun();
  if (run) await waitUntil('the run is found lost', async () => (await newestRun())?.status === 'lost');
  commits = 0;
  const answer = run ? fetch(`${service.url}/runs/${run.id}/resume`, { method: 'POST' }) : callJob(service, 'counts-writes');
  const heard = answer.catch(() => undefined);
  const attempt = (run?.attempt ?? 0) + 1;
  await waitUntil(`attempt ${attempt} runs`, async () => (await newestRun())?.attempt === attempt);
  return { answer: heard };
}

describe('a transactional backfill that is killed again and again', () => {
  let listener: pg.Client;

  beforeAll(async () => {
    listener = new pg.Client(process.env.DATABASE_URL);
    await listener.connect();
    listener.on('notification', () => commits++);
    await listener.query('listen batch_committed');
  });
  afterAll(() => listener.end());

  it('has written every row exactly once when it is done', async () => {
    let service = await startServiceProcess(ENV);
    for (let kill = 0; kill < KILLS; kill++) {
      // The next one starts meanwhile, and finds the run lost.
      const next = startServiceProcess(ENV);
      await startAttempt(service);
      // In turns: at the attempt's very start, and somewhere in the batch after a few that were committed.
      const letThrough = kill % 4 === 0 ? 0 : kill % 4;
      await waitUntil(`${letThrough} batches are committed`, () => commits >= letThrough);
      await delay(Math.random() * 15);
      service.child.kill('SIGKILL');
      await service.exited;
      service = await next;
    }
    const doneBefore = await knex('item').where('times', 1).pluck('id');
    expect(doneBefore.length).toBeGreaterThan(0);
    expect(doneBefore.length).toBeLessThan(ROWS);

    const { answer } = await startAttempt(service);
    expect(await (await answer)!.json()).toEqual({ isDryRun: false, processed: ROWS, succeeded: ROWS, failed: 0 });
    expect(await knex('item').whereNot('times', 1)).toEqual([]);
    expect(await knex('ledger').count()).toEqual([{ count: String(ROWS) }]);
    expect(await knex('ledger').countDistinct('itemId')).toEqual([{ count: String(ROWS) }]);
    expect(await newestRun()).toMatchObject({ status: 'succeeded', attempt: KILLS + 1 });
  });
});
