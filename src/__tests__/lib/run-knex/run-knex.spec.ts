import { setTimeout as delay } from 'node:timers/promises';
import createKnex from 'knex';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { inDryRun, inRun, TestRun } from '../../helpers/test-scope.js';

const settings = { connection: async () => ({ connectionString: process.env.DATABASE_URL, application_name: 'commons-jobs' }) };
const knex = createRunKnex({ ...settings, pool: { min: 0, max: 3 } });
/** With a single connection, which every run gets in turn. */
const one = createRunKnex({ ...settings, pool: { min: 0, max: 1 }, acquireConnectionTimeout: 500 });

afterAll(() => Promise.all([knex.destroy(), one.destroy()]));
beforeAll(() => knex.raw('create table a (id int primary key, v int); insert into a select g, 1 from generate_series(1, 10) g; create table slow (x int)'));

describe('the jobs\' knex', () => {
  it('is an ordinary knex, inside runs and outside', async () => {
    expect(knex.client).toBeInstanceOf(createKnex.Client);
    expect('isTransaction' in knex).toBe(false);
    expect(knex('a').where('x', knex.fn.now()).toQuery()).toBe('select * from "a" where "x" = CURRENT_TIMESTAMP');
    const use = async () => {
      expect(await knex('a').where({ id: 3 }).first()).toEqual({ id: 3, v: 1 });
      expect(await knex('a').where({ id: 3 }).update({ v: 1 })).toBe(1);
      expect(await knex('a').insert({ id: 99 }).returning('id')).toEqual([{ id: 99 }]);
      expect(await knex('a').where({ id: 99 }).del()).toBe(1);
      expect(await knex('a').pluck('id').orderBy('id').limit(2)).toEqual([1, 2]);
      expect(await knex.transaction(async (trx) => trx.isTransaction)).toBe(true);
      expect((await knex.raw('select ?::int as n', [7])).rows).toEqual([{ n: 7 }]);
      expect(await knex.schema.hasTable('a')).toBe(true);
      await expect(knex.raw('select * from nowhere')).rejects.toMatchObject({ code: '42P01', message: expect.stringContaining('select * from nowhere - relation') });
    };
    await use();
    await inRun(use);
  });

  it('opens nothing before the first query, and asks for its settings then', async () => {
    let asked = 0;
    const lazy = createRunKnex({ connection: async () => (asked++, await settings.connection()) });
    await delay(50);
    expect(asked).toBe(0);
    await inDryRun(() => lazy('a').first());
    await inRun(() => lazy('a').first());
    await lazy('a').first();
    expect(asked).toBe(2);
    await lazy.destroy();
  });

  it('can be mocked as a whole', () => {
    jest.doMock('../../fixtures/run-knex.js');
    const mocked = jest.requireMock('../../fixtures/run-knex.js').default;
    mocked.mockReturnValue('rows');
    expect(mocked('a')).toBe('rows');
    expect(jest.isMockFunction(mocked.transaction)).toBe(true);
  });

  it('says KnexTimeoutError when the pool stays full', async () => {
    await inRun(() => one.transaction(() => expect(one.raw('select 1')).rejects.toBeInstanceOf(createKnex.KnexTimeoutError)));
    await inRun(() => one.raw('select 1'));
  });

  it('tells a run of a connection that could not be opened', async () => {
    const nowhere = createRunKnex({ connection: { host: '/nowhere' }, acquireConnectionTimeout: 2_000 });
    await expect(inRun(() => nowhere.raw('select 1'))).rejects.toMatchObject({ code: 'ENOENT' });
    await nowhere.destroy();
  });
});

describe('a connection', () => {
  it('takes no setting of a run to the next one', async () => {
    await inRun(() => one.raw('set statement_timeout = 70000'));
    expect((await inRun(() => one.raw('show statement_timeout'))).rows).toEqual([{ statement_timeout: '0' }]);
    await inRun(() => one.transaction(async (trx) => void (await trx.raw('set local statement_timeout = 70000'))));
    expect((await inRun(() => one.raw('show statement_timeout'))).rows).toEqual([{ statement_timeout: '0' }]);
  });

  it('is kept from run to run otherwise', async () => {
    const pid = async () => (await one.raw('select pg_backend_pid() as pid')).rows[0].pid;
    expect(await inRun(pid)).toBe(await inRun(pid));
    expect(await inDryRun(pid)).toBe(await inDryRun(pid));
  });

  it('that broke is replaced', async () => {
    await expect(inRun(() => one.raw('select pg_terminate_backend(pg_backend_pid())'))).rejects.toThrow();
    expect((await inRun(() => one.raw('select 1 as n'))).rows).toEqual([{ n: 1 }]);
  });

  // Plain knex 3.3 releases it twice: the second time it is the transaction's, which then shares it with the insert.
  it('of a stream with a slow reader is not given to two', async () => {
    const full = createRunKnex({ ...settings, pool: { min: 0, max: 1 } });
    const reading = inRun(async () => { for await (const _ of full.raw('select generate_series(1, 10)').stream()) await delay(20); });
    await delay(50);
    const rollingBack = inRun(() => full.transaction(async (trx) => { await trx('slow').insert({ x: 1 }); await delay(600); throw new Error('no'); }).catch(() => undefined));
    await delay(50);
    await Promise.all([reading, rollingBack, inRun(() => full('slow').insert({ x: 2 }))]);
    expect(await full('slow')).toEqual([{ x: 2 }]);
    await full.destroy();
  });

  it.each<[string, () => Promise<unknown>]>([
    ['left early', async () => { for await (const _ of one.raw('select generate_series(1, 5000)').stream()) break; }],
    ['destroyed before it had a connection', async () => { one.raw('select 1').stream().on('error', () => undefined).destroy(); await delay(50); }],
    ['that fails', async () => { for await (const _ of one.raw('select 1 / (3 - n) from generate_series(1, 5) n').stream()); }],
  ])('of a stream %s comes back', async (_, use) => {
    await inRun(use).catch(() => undefined);
    expect((await inRun(() => one.raw('select 1 as n'))).rows).toEqual([{ n: 1 }]);
    expect(one.client.pool.numUsed()).toBe(0);
  });
});

describe('the comment before a statement', () => {
  const seen = "select query from pg_stat_activity where pid = pg_backend_pid() and query like '%pg_stat_activity%'";

  it('names job and run in pg_stat_activity, and cannot be left by a name', async () => {
    const run = new TestRun({ jobName: "o'x*/--" });
    const query = (rows: { query: string }[]) => rows[0]?.query;
    const tag = `/*job='o%27x%2a%2F--',run='${run.id}'*/ `;
    await run.do(async () => {
      expect(query((await knex.raw(seen)).rows)).toBe(tag + seen);
      expect(query(await knex.transaction(async (trx) => (await trx.raw(seen)).rows))).toBe(tag + seen);
      const streamed: { query: string }[] = [];
      for await (const row of knex.raw(seen).stream()) streamed.push(row);
      expect(streamed).toEqual([{ query: tag + seen }]);
      const connection = await knex.client.acquireConnection();
      expect(query((await connection.query(Object.freeze({ text: seen, values: [] }))).rows)).toBe(tag + seen);
      await knex.client.releaseConnection(connection);
    });
  });

  it('is left out of named statements, which keep one text for all runs', async () => {
    const texts: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      await inRun(async () => {
        await one.raw('select ?::int', [i]).options({ name: 'named' });
        texts.push(...(await one.raw(`select statement from pg_prepared_statements where name = 'named'`)).rows);
      });
    }
    expect(texts).toEqual([1, 2, 3].map(() => ({ statement: 'select $1::int' })));
  });

  it('is left out outside runs', async () => {
    expect((await knex.raw(seen)).rows).toEqual([{ query: seen }]);
  });
});
