import type { ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import type { Knex } from 'knex';
import { runJob } from '@commons/backend/runs/run-job.js';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import shared from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { inDryRun, inRun, TestRun } from '../../helpers/test-scope.js';

const knex = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 1 }, acquireConnectionTimeout: 20_000 });
const client = knex.client as Knex.Client & { pool: { numUsed(): number } };

beforeAll(() => knex.raw('create table owned (n int)'));
afterEach(async () => {
  expect(client.pool.numUsed()).toBe(0);
  await knex('owned').del();
});
afterAll(async () => {
  await knex.destroy();
  await shared.destroy();
});

const rows = async (): Promise<number> => Number((await knex('owned').count())[0]!.count);
const insert = (connection: unknown) => knex('owned').insert({ n: 1 }).connection(connection as never);
const givenBack = async () => {
  const connection = await client.acquireConnection();
  await client.releaseConnection(connection);
  return connection as unknown;
};

describe('a connection that is not the calling run\'s', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['by the builder on one that it gave back', async () => insert(await givenBack())],
    ['by raw on one that it gave back', async () => {
      const connection = await givenBack();
      await knex.raw('begin read write').connection(connection as never);
      await insert(connection);
      await knex.raw('commit').connection(connection as never);
    }],
    ['by the client on one that it gave back', async () => client.query(await givenBack(), 'insert into owned values (1)')],
    ['by the pool itself', async () => {
      const { pool } = client as unknown as { pool: { acquire(): { promise: Promise<unknown> }; release(connection: unknown): boolean } };
      const connection = await pool.acquire().promise;
      try {
        return await insert(connection);
      } finally {
        pool.release(connection);
      }
    }],
  ])('is refused to a dry run: %s', async (_, write) => {
    await expect(inDryRun(write)).rejects.toMatchObject({ name: 'ConnectionGivenBack' });
    expect(await rows()).toBe(0);
  });

  it('is refused to a run inside a transaction that was begun outside runs', async () => {
    const trx = await knex.transaction();
    await expect(inDryRun(() => trx('owned').insert({ n: 1 }))).rejects.toMatchObject({ name: 'ConnectionGivenBack' });
    await trx.rollback();
    expect(await rows()).toBe(0);
  });

  it('is refused to a run that gave it back, also while another run has it', async () => {
    let connection: unknown;
    const late = new TestRun();
    await late.do(async () => (connection = await givenBack()));
    await inRun(() => knex.transaction(async (trx) => {
      await trx('owned').insert({ n: 2 });
      const lateRun = new TestRun();
      await expect(lateRun.do(() => insert(connection))).rejects.toMatchObject({ name: 'ConnectionGivenBack' });
      // Giving it back once more takes it from nobody.
      await new TestRun().do(() => client.releaseConnection(connection as never));
      expect((await trx('owned').count())[0]).toEqual({ count: '1' });
    }));
    expect(await rows()).toBe(1);
  });
});

describe('a run inside another one', () => {
  const job = (handler: ScriptHandler): Job => ({
    slug: 'outer', file: 'outer.ts', load: () => ({ RequestBody: undefined, config: {}, timeoutMs: undefined, handler }),
  });

  beforeAll(() => shared.raw('create table if not exists owned (n int)'));

  it('may use the transaction of the outer one, and not write there when it is dry', async () => {
    const outer = job(async (req) => shared.transaction(async (trx) => {
      await BatchJobRun.trap('inner', () => trx('owned').insert({ n: 1 }), { isDryRun: Boolean(req.body.isInnerDry) });
      return { ok: true };
    }));
    const real = await runJob(outer, { trigger: 'http', body: {} });
    expect(real).toMatchObject({ outcome: { status: 'succeeded' } });
    expect(await rows()).toBe(1);
    const dry = await runJob(outer, { trigger: 'http', body: { isInnerDry: true } });
    expect(dry).toMatchObject({ outcome: { status: 'failed' } });
    expect(await rows()).toBe(1);
  });
});

describe('a query that nobody waits for', () => {
  it.each([[true], [false]])('costs the pool no connection when its run ends (dry: %s)', async (isDryRun) => {
    const loose = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 2 }, acquireConnectionTimeout: 5_000 });
    // The connections are there, so that what comes next only has to look at them.
    await inRun(() => Promise.all([loose.raw('select 1'), loose.raw('select 1')]));
    // The run ends after each number of turns of promises: before its connection is asked for, while it is looked at, and after.
    for (let turns = 0; turns < 60; turns++) {
      await new TestRun({ isDryRun }).do(async () => {
        void loose.raw('select 1').then(() => undefined, () => undefined);
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      });
    }
    await new TestRun({ isDryRun }).do(() => Promise.all([loose.raw('select 1'), loose.raw('select 1')]));
    await loose.destroy();
  });
});
