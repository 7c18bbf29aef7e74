import { EventEmitter } from 'node:events';
import type { Knex } from 'knex';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { DryRunWrite } from '@commons/backend/lib/run-knex/errors.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { copyIn } from '../../helpers/copy-in.js';
import { inDryRun, inRun, TestRun } from '../../helpers/test-scope.js';

const knex = createRunKnex({ connection: async () => ({ connectionString: process.env.DATABASE_URL }), pool: { min: 0, max: 3 } });

beforeAll(() =>
  knex.raw(`
    create table a (id int primary key, v int);
    create table b (id int primary key, v int);
    create sequence sq;
    create function wr() returns int language sql volatile as $$ insert into b values (1, 1) on conflict do nothing; select 1 $$;
    insert into a select g, 1 from generate_series(1, 10) g`),
);
afterEach(async () => expect(await knex('a').count()).toEqual([{ count: '10' }]));

const withConnection = async (use: (connection: { query(sql: string, callback?: () => void): Promise<unknown> }) => Promise<unknown>) => {
  const connection = await knex.client.acquireConnection();
  try {
    return await use(connection);
  } finally {
    await knex.client.releaseConnection(connection);
  }
};
const drain = async (stream: AsyncIterable<unknown>) => {
  for await (const _ of stream);
};
const remove = () => knex('a').del();
/** Deletes inside a callback of `start`'s, in whatever context that comes. */
const deleteWhen = (start: (callback: () => void) => unknown) =>
  new Promise((resolve, reject) => {
    start(() => remove().then(resolve, reject));
  });

const madeOutside = { builder: knex('a').insert({ id: 900 }), provider: knex.transactionProvider(), client: knex.client as Knex.Client };

describe('a dry run cannot write', () => {
  it.each<[string, () => unknown]>([
    ['the query builder', () => knex('a').insert({ id: 901 })],
    ['raw', () => knex.raw('delete from a')],
    ['raw in the builder', () => knex('a').update({ v: knex.raw('? + 1', [2]), id: knex.ref('id') })],
    ['batchInsert', () => knex.batchInsert('a', [{ id: 902 }, { id: 903 }], 1)],
    ['a transaction', () => knex.transaction((trx) => trx('a').del())],
    ['a transaction that says it may', () => knex.transaction((trx) => trx('a').del(), { readOnly: false, isolationLevel: 'serializable' })],
    ['a savepoint', () => knex.transaction((trx) => trx.transaction((inner) => inner('a').del()))],
    ['a transaction held as an object', async () => {
      const trx = await knex.transaction();
      await trx('a').del().catch(async (error: unknown) => trx.rollback(error));
      return trx.executionPromise;
    }],
    ['the schema builder', () => knex.schema.createTable('zz', (table) => table.integer('x'))],
    ['a stream', () => drain(knex('a').insert({ id: 904 }).returning('*').stream())],
    ['COPY', () => copyIn(knex, 'copy a from stdin', '950\t1\n')],
    ['nextval', () => knex.raw(`select nextval('sq')`)],
    ['a WITH', () => knex.raw('with x as (delete from a returning *) select * from x')],
    ['a WITH of the builder', () => knex.with('x', remove().returning('*')).select('*').from('x')],
    ['a function', () => knex.raw('select wr()')],
    ['DO', () => knex.raw('do $$begin delete from a; end$$')],
    ['a temporary table', () => knex.raw('create temp table t (x int)')],
    ['SELECT FOR UPDATE', () => knex('a').forUpdate()],
    ['a raw connection of the pool', () => withConnection((connection) => connection.query('delete from a'))],
    ['a raw connection of its own', async () => {
      const connection = await knex.client.acquireRawConnection();
      return connection.query('delete from a');
    }],
    ['RESET ALL before', () => knex.transaction(async (trx) => void (await trx.raw('reset all'), await trx('a').del()))],
    ['DISCARD ALL before', () => withConnection(async (connection) => void (await connection.query('discard all'), await connection.query('delete from a')))],
    ['withUserParams', () => knex.withUserParams({ x: 1 })('a').del()],
    ['a builder made before the run', () => madeOutside.builder.clone()],
    ['a transaction provider made before the run', async () => {
      const trx = await madeOutside.provider();
      await trx('a').del().finally(() => trx.rollback());
    }],
    ['a client taken before the run', () => madeOutside.client.raw('delete from a')],
    ['a timer', () => deleteWhen((callback) => setTimeout(callback, 1))],
    ['an event', () => deleteWhen((callback) => new EventEmitter().on('x', callback).emit('x'))],
    ["a stream's data", () => deleteWhen((callback) => knex('a').limit(1).stream().on('data', callback))],
    ["a stream's end", () => deleteWhen((callback) => knex('a').limit(1).stream().on('end', callback).resume())],
    ["a raw query's callback", () => withConnection((connection) => deleteWhen((callback) => connection.query('select 1', callback)))],
  ])('by %s', async (_, write) => {
    await expect(inDryRun(write)).rejects.toMatchObject({ name: 'DryRunWrite', cause: { code: '25006' } });
  });

  it('whatever the options in the connection string are', async () => {
    const url = new URL(process.env.DATABASE_URL!);
    url.searchParams.set('options', '-c work_mem=5MB -c default_transaction_read_only=off');
    const other = createRunKnex({ connection: url.href, pool: { min: 0, max: 1 } });
    await expect(inDryRun(() => other('a').del())).rejects.toBeInstanceOf(DryRunWrite);
    expect(await inDryRun(() => other.raw('show work_mem'))).toMatchObject({ rows: [{ work_mem: '5MB' }] });
    await other.destroy();
  });

  it('even after an earlier one switched the setting off for its session', async () => {
    const one = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 1 } });
    await inDryRun(() => one.raw('set default_transaction_read_only = off'));
    await inDryRun(() => one.raw(`select set_config('default_transaction_read_only', 'off', false)`));
    await expect(inDryRun(() => one('a').del())).rejects.toBeInstanceOf(DryRunWrite);
    await one.destroy();
  });
});

describe('what a refused write says', () => {
  it.each<[string, () => unknown, string]>([
    ['an update', () => knex('a').whereRaw('v::text = ?', ['secret']).update({ v: 1 }), 'UPDATE a'],
    ['an insert', () => knex.raw('INSERT INTO "public"."a" (id) VALUES (7)'), 'INSERT INTO public.a'],
    ['a delete in a WITH', () => knex.raw('with x as (delete from a returning *) select * from x'), 'DELETE FROM a'],
    ['COPY', () => copyIn(knex, 'copy a from stdin', ''), 'COPY a'],
    ['a new table', () => knex.schema.createTable('zz', (table) => table.integer('x')), 'CREATE TABLE zz'],
    ['a function that writes', () => knex.raw('select wr()'), 'INSERT'],
    ['nextval', () => knex.raw(`select nextval('sq')`), 'nextval()'],
  ])('names the verb and the table of %s, and no value', async (_, write, named) => {
    const error = await inDryRun(write).then(undefined, (thrown: unknown) => thrown);
    expect(error).toMatchObject({
      status: 500,
      message: `A dry run may not write, and the job tried ${named}. Let the job leave its writes out when isDryRun is set.`,
    });
  });

  it('is said of dry runs alone', async () => {
    await expect(inRun(() => knex.transaction((trx) => trx('a').del(), { readOnly: true }))).rejects.toMatchObject({ code: '25006', name: 'error' });
  });
});

describe('around dry runs', () => {
  it('lets runs, and code outside runs, write at the same time', async () => {
    const dry = new TestRun({ isDryRun: true });
    const wet = new TestRun();
    const updates = (run: TestRun) =>
      run.do(() =>
        Promise.all(
          Array.from({ length: 30 }, (_, i) =>
            knex('a').where({ id: 1 }).update({ v: i }).then(
              () => (tryCurrentRun()?.id === run.id ? 'written' : 'another run'),
              (error: unknown) => (error instanceof DryRunWrite ? 'refused' : 'failed'),
            ),
          ),
        ),
      );
    const [ofDry, ofWet, ofNone] = await Promise.all([updates(dry), updates(wet), knex('a').where({ id: 2 }).update({ v: 5 })]);
    expect([new Set(ofDry), new Set(ofWet), ofNone]).toEqual([new Set(['refused']), new Set(['written']), 1]);
    expect(wet.database.writes).toEqual({ a: { update: 30 } });
    expect(dry.database.writes).toEqual({});
  });

  // The docs say so: a read-only transaction guards rows, not everything. Only a role without rights would.
  it.each([
    `notify x, 'y'`,
    'select pg_advisory_lock(1), pg_advisory_unlock(1)',
    'select pg_advisory_lock(7)',
    'listen x',
  ])('does not stop %s', async (sql) => {
    await inDryRun(() => knex.raw(sql));
  });
});

afterAll(() => knex.destroy());
