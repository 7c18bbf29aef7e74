import fc from 'fast-check';
import pg from 'pg';
import QueryStream from 'pg-query-stream';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { ReadOnlyGuard } from '@commons/backend/lib/run-knex/read-only-guard.js';
import { statementsOf } from '@commons/backend/lib/run-knex/statements-of.js';
import { inDryRun, inRun } from '../../helpers/test-scope.js';

const knex = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 2 } });
const INSERT = 'insert into w values (1)';
const READ_ONLY = `show transaction_read_only`;

beforeAll(() =>
  knex.raw(`
    create table w (x int);
    create function leave_for_good() returns void language plpgsql as $$ begin perform set_config('default_transaction_read_only', 'off', false); end $$;
    create function leave_now() returns void language plpgsql as $$ begin perform set_config('transaction_read_only', 'off', true); end $$;
    create function writes() returns int language plpgsql as $$ begin insert into w values (1); return 1; end $$;
    create procedure leaves() language plpgsql as $$ begin commit; set transaction read write; insert into w values (1); commit; end $$`),
);
afterEach(async () => expect((await knex.raw('select count(*)::int as n from w')).rows).toEqual([{ n: 0 }]));
afterAll(() => knex.destroy());

type Query = (sql: string) => Promise<{ rows: unknown[] }>;

/** Does `work` with one connection of the pool. */
async function onOneConnection<T>(work: (query: Query) => Promise<T>): Promise<T> {
  const connection = await knex.client.acquireConnection();
  try {
    return await work((sql) => connection.query(sql));
  } finally {
    await knex.client.releaseConnection(connection);
  }
}

/** Each is tried, whatever came of the one before. */
async function tryEach(query: Query, statements: readonly string[]): Promise<void> {
  for (const sql of statements) await query(sql).catch(() => undefined);
}

/** Every way to leave read-only that Postgres knows; each of them was found to write in a plain session, or comes next to one that did. */
const WAYS: readonly (readonly string[])[] = [
  ['set default_transaction_read_only = off', INSERT],
  ['SET\n"default_transaction_read_only"\tTO off', INSERT],
  ['set/**/default_transaction_read_only/**/=/**/off', INSERT],
  ['/* a /* b */ ; */ set default_transaction_read_only = off', INSERT],
  [`-- ;\nset default_transaction_read_only = off`, INSERT],
  [`set default_transaction_read_only = off; ${INSERT}`],
  [`set default_transaction_read_only = off; commit; ${INSERT}`],
  [`select SET_CONFIG('default_transaction_read_only','off',false)`, INSERT],
  [`select "set_config"(U&'default_transaction_read\\005fonly', 'off', false)`, INSERT],
  [`with c as materialized (select set_config('default_transaction_read_only','off',false)) select * from c`, INSERT],
  [`with c as materialized (select set_config('transaction_read_only','off',true)), i as (${INSERT} returning 1) select * from c, i`],
  ['select leave_for_good()', INSERT],
  [`select leave_for_good(); ${INSERT}`],
  ['select leave_for_good()', `do $$ begin ${INSERT}; end $$`],
  ['select leave_for_good()', 'select writes()'],
  ['select leave_now()', INSERT],
  [`select leave_now(); ${INSERT}`],
  ['call leaves()'],
  ['prepare p as select set_config($1, $2, false)', `execute p('default_transaction_read_only', 'off')`, INSERT, 'prepare i as insert into w values (1)', 'execute i'],
  ['set session characteristics as transaction read write', INSERT],
  [`set session characteristics as transaction read write; commit; ${INSERT}`],
  ['reset default_transaction_read_only', INSERT],
  ['reset all', INSERT],
  ['discard all', INSERT],
  ['set default_transaction_read_only to default', INSERT],
  ['set local default_transaction_read_only = off', INSERT],
  [`update pg_settings set setting = 'off' where name = 'default_transaction_read_only'`, INSERT],
  [`alter role current_user set default_transaction_read_only = off`, INSERT],
  ['begin read write', INSERT, 'commit'],
  [`begin read write; ${INSERT}; commit`],
  [`/**/begin read write; ${INSERT}; commit`],
  ['/**/begin read write', INSERT, 'commit'],
  [';begin read write', INSERT, 'commit'],
  [`start transaction isolation level serializable read write deferrable`, INSERT, 'commit'],
  [`commit; begin read write; ${INSERT}; commit`],
  [`select 1; rollback; begin read write; ${INSERT}; commit`],
  [`set transaction_read_only = off; ${INSERT}`],
  [`set transaction read write; ${INSERT}`],
  ['begin', 'set transaction read write', INSERT, 'commit'],
  ['begin', 'set transaction_read_only = off', INSERT, 'commit'],
  ['begin', `select set_config('transaction_read_only', 'off', true)`, INSERT, 'commit'],
  ['begin', 'select 1', 'set transaction read write', INSERT, 'commit'],
  ['begin', 'set transaction read write', 'savepoint a', INSERT, 'commit'],
  ['begin read write', 'savepoint a', 'set transaction read only', 'select 1', 'rollback to a', INSERT, 'commit'],
  ['begin', 'savepoint a', 'set transaction read write', 'rollback to a', 'set transaction read write', INSERT, 'commit'],
  ['begin', 'select 1', 'commit and chain', 'set transaction read write', INSERT, 'commit'],
  ['begin', 'select 1', 'rollback and chain', 'set transaction read write', INSERT, 'commit'],
  ['begin', 'select 1 / 0', 'rollback and chain', 'set transaction read write', INSERT, 'commit'],
  ['begin read write', 'commit and chain', INSERT, 'commit'],
  ['commit and chain', 'set transaction read write', INSERT, 'commit'],
  ['begin read write', `prepare transaction 'x'`, INSERT, 'commit'],
  [`do $$ begin commit; set transaction read write; ${INSERT}; end $$`],
  [`do $$ begin rollback; set transaction read write; ${INSERT}; commit; end $$`],
  [`do $$ begin set default_transaction_read_only = off; commit; ${INSERT}; end $$`],
  [`do $$ begin perform set_config('default_transaction_read_only', 'off', false); commit; ${INSERT}; end $$`],
  [`;;/**/ do language plpgsql 'begin commit; set transaction read write; ${INSERT}; end'`],
  [`do $$ begin perform set_config('transaction_read_only', 'off', true); ${INSERT}; end $$`],
  [`explain analyze ${INSERT}`],
  ['set standard_conforming_strings = off', `select '\\'; commit; begin read write; ${INSERT}; commit; --'`],
  [`select E'\\'; commit; begin read write; ${INSERT}; commit; --'`],
  [`select $a$ ; $a$; begin read write; ${INSERT}; commit`],
  [`select ';'; commit; begin read write; ${INSERT}; commit`],
  [`select a$b$c from (select 1 as a$b$c) x; commit; begin read write; ${INSERT}; commit -- $b$`],
  ['create table other (x int)', 'create temp table other (x int)', 'vacuum w', 'reindex index concurrently w', 'alter system set work_mem = 64'],
  [`declare c cursor with hold for select writes()`, 'fetch c', 'commit'],
  [`copy w from program 'echo 1'`],
  ['select lo_create(0)', `select lo_from_bytea(0, 'a')`],
];

/**
 * The cursor is read at the end of its transaction, which that fails. The driver may hear of the error before it hears that the transaction
 * is over; whether the two come in one piece is a matter of chance, so it is tried often.
 */
const ENDS_BY_ERROR: [string, 'query' | 'stream' | 'at once'][] = [
  ['declare c cursor with hold for select writes()', 'at once'],
  [`do $$ begin set default_transaction_read_only = off; commit; ${INSERT}; end $$`, 'query'],
  ['set default_transaction_read_only = off', 'stream'],
  [`select leave_for_good(); ${INSERT}`, 'stream'],
];

describe('a dry run cannot leave read-only', () => {
  it.each(WAYS.map((way) => [way.join(' | '), way] as const))('by %s', async (_, way) => {
    await inDryRun(() => onOneConnection((query) => tryEach(query, way)));
    await inDryRun(() => tryEach((sql) => knex.raw(sql), way));
    await inDryRun(async () => {
      const connection = await knex.client.acquireConnection();
      await tryEach((sql) => new Promise((resolve, reject) => connection.query(new pg.Query({ text: sql }, undefined, (error?: Error) => (error ? reject(error) : resolve({ rows: [] }))))), way);
      await knex.client.releaseConnection(connection);
    });
    await inDryRun(async () => {
      const connection = await knex.client.acquireRawConnection();
      await tryEach((sql) => connection.query(sql), way);
    });
  });

  it('by any of them in any order, at once on one connection, or in streams, and leaves the next run nothing', async () => {
    const statement = fc.constantFrom(...new Set([...WAYS.flat(), 'begin', 'commit', 'rollback', 'savepoint a', 'rollback to a', 'select 1']));
    const send = fc.constantFrom<'query' | 'stream' | 'at once'>('query', 'stream', 'at once');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(statement, send), { minLength: 2, maxLength: 10 }), async (steps) => {
        await inDryRun(async () => {
          const connection = await knex.client.acquireConnection();
          const late: Promise<unknown>[] = [];
          for (const [sql, how] of steps) {
            if (how === 'stream') await connection.query(new QueryStream(sql)).toArray().catch(() => undefined);
            else if (how === 'query') await connection.query(sql).catch(() => undefined);
            else late.push(connection.query(sql).catch(() => undefined));
          }
          await Promise.all(late);
          await knex.client.releaseConnection(connection);
          await knex.raw(INSERT).catch(() => undefined);
        });
        await inDryRun(() => knex.raw(INSERT).catch(() => undefined));
        expect((await inRun(() => knex.raw('select count(*)::int as n from w'))).rows).toEqual([{ n: 0 }]);
        expect((await inDryRun(() => knex.raw('show default_transaction_read_only'))).rows).toEqual([{ default_transaction_read_only: 'on' }]);
      }),
      { numRuns: 120, examples: Array.from({ length: 60 }, () => [ENDS_BY_ERROR]) },
    );
  });

  it('by a connection that it kept, or that was opened outside the run', async () => {
    const outside = await knex.client.acquireRawConnection();
    await expect(inDryRun(() => outside.query(INSERT))).rejects.toMatchObject({ name: 'ConnectionGivenBack' });
    await expect(inDryRun(async () => {
      const kept = await knex.client.acquireConnection();
      await knex.client.releaseConnection(kept);
      await kept.query(INSERT);
    })).rejects.toMatchObject({ name: 'ConnectionGivenBack', message: expect.stringContaining('Get one inside the run') });
    await expect(inDryRun(async () => (await knex.client.pool.acquire().promise).query(INSERT))).rejects.toMatchObject({ name: 'ConnectionGivenBack' });
    await outside.end();
    knex.client.pool.release(knex.client.pool.used[0].resource);
  });

  it.each([
    ['begin', ['begin', 'set transaction read write', 'select 1'], 'to make its transaction READ WRITE'],
    ['VACUUM', ['vacuum w'], 'VACUUM'],
    ['ALTER SYSTEM', [`alter system set work_mem = '8MB'`], 'ALTER SYSTEM'],
    ['a procedure that commits', ['call leaves()'], undefined],
  ])('and is told what it tried, by %s', async (_, statements, named) => {
    const trying = inDryRun(() => onOneConnection(async (query) => { for (const sql of statements) await query(sql); await query(INSERT); }));
    await expect(trying).rejects.toMatchObject(named ? { name: 'DryRunWrite', message: expect.stringContaining('may not write, and the job tried') } : {});
  });
});

describe('what a dry run may do is done as ever', () => {
  it.each<[string, string, unknown]>([
    ['one statement', 'select 1 as n', { rows: [{ n: 1 }] }],
    ['several, with an answer each', `set local work_mem = '5MB'; show work_mem; select ';' as s;`, [{ command: 'SET' }, { rows: [{ work_mem: '5MB' }] }, { rows: [{ s: ';' }] }]],
    ['a text with a comment after it', 'select 1 as n; -- that was all', { rows: [{ n: 1 }] }],
    ['an empty text', '', { rows: [] }],
    ['a transaction in one text', 'begin; select 1 as n; commit', [{ command: 'BEGIN' }, { rows: [{ n: 1 }] }, { command: 'COMMIT' }]],
    ['DO', 'do $$ begin perform 1; end $$', { command: 'DO' }],
  ])('%s', async (_, sql, expected) => {
    expect(await inDryRun(() => onOneConnection((query) => query(sql)))).toMatchObject(expected as object);
  });

  it('a transaction of the isolation that it asks for, in its BEGIN or after it', async () => {
    const isolation = `select current_setting('transaction_isolation') as of, current_setting('transaction_read_only') as only`;
    await inDryRun(async () => {
      expect(await knex.transaction(async (trx) => (await trx.raw(isolation)).rows, { isolationLevel: 'repeatable read' })).toEqual([{ of: 'repeatable read', only: 'on' }]);
      await onOneConnection(async (query) => {
        await query('begin');
        await query('set transaction isolation level serializable');
        expect((await query(isolation)).rows).toEqual([{ of: 'serializable', only: 'on' }]);
        await query('commit');
      });
    });
  });

  it('settings of its session last for the run, streams and queries at once work, and a failed statement leaves nothing open', async () => {
    await inDryRun(() => onOneConnection(async (query) => {
      await query(`set search_path = pg_catalog`);
      expect((await query('show search_path')).rows).toEqual([{ search_path: 'pg_catalog' }]);
      await expect(query('do $$ begin perform 1 / 0; end $$')).rejects.toMatchObject({ code: '22012' });
      expect(await Promise.all([query('select 1 as n'), query(READ_ONLY), query('show work_mem')])).toMatchObject([{ rows: [{ n: 1 }] }, { rows: [{ transaction_read_only: 'on' }] }, {}]);
    }));
    const rows = await inDryRun(async () => {
      const left = knex.raw('select 1').stream().on('error', () => undefined);
      left.destroy();
      return knex.raw('explain (costs off) select n from generate_series(1, 3) n').stream().toArray();
    }).catch((error: unknown) => error);
    expect(rows).toHaveLength(1);
    expect(knex.client.readOnlyPool.numUsed()).toBe(0);
  });

  it('named statements are prepared once a connection, and again in the next run', async () => {
    for (let i = 0; i < 2; i++) {
      await inDryRun(async () => {
        for (let j = 0; j < 2; j++) expect((await knex.raw('select ?::int as n', [j]).options({ name: 'named' })).rows).toEqual([{ n: j }]);
      });
    }
  });
});

describe('the statements of a text', () => {
  it.each<[string, string[]]>([
    ['select 1', ['select 1']],
    ['select 1;  ', ['select 1;  ']],
    ['a; b', ['a', ' b']],
    [`select ';', ";", $$;$$, $x$;$$;$x$, E'\\';', 'it''s;' -- ;\n, /* ; /* ; */ ; */ 1; b`, [`select ';', ";", $$;$$, $x$;$$;$x$, E'\\';', 'it''s;' -- ;\n, /* ; /* ; */ ; */ 1`, ' b']],
    ['a;; -- c\n;/* d */; b', ['a', ' b']],
  ])('%j', (sql, statements) => expect(statementsOf(sql)).toEqual(statements));

  it('are all there, whatever the text is, in time that grows with its length', () => {
    const part = fc.constantFrom("'", '"', '$', '$a$', ';', '--', '\n', '/*', '*/', 'E', '\\', ' ', 'a', '-', '/', '$$');
    fc.assert(fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
      const sql = parts.join('');
      const found = statementsOf(sql);
      expect(found.length).toBeGreaterThan(0);
      let at = 0;
      for (const statement of found) {
        at = sql.indexOf(statement, at);
        expect(at).toBeGreaterThanOrEqual(0);
        at += statement.length;
      }
    }), { numRuns: 500 });
    for (const hostile of ["'", '$a$', '/*', ';', 'e', "E'\\", '--', '$', '";']) {
      const time = (times: number) => {
        const started = performance.now();
        statementsOf(`; ${hostile.repeat(times)}x`);
        return performance.now() - started;
      };
      time(10_000);
      expect(time(300_000)).toBeLessThan(Math.max(90 * time(10_000), 2_000));
    }
  });
});

it('the guard goes by no status that is older than an error', async () => {
  const sent: string[] = [];
  let status = 'I';
  const guard = new ReadOnlyGuard({
    getTransactionStatus: () => status,
    async ask(sql) {
      sent.push(sql);
      if (sql.startsWith('begin')) status = 'T';
      if (sql === '') status = 'I';
      // The transaction is over, and the driver will hear of that later.
      if (sql === 'commit') throw new Error('it could not be committed');
    },
  });
  const send = async (sql: string) => void sent.push(sql);
  await expect(guard.sendEach(['declare c cursor with hold for select writes()'], send)).rejects.toThrow('it could not be committed');
  await guard.sendEach([INSERT], send).catch(() => undefined);
  const begin = sent[0];
  expect(sent.slice(0, 6)).toEqual([expect.stringMatching(/^begin transaction read only/), 'declare c cursor with hold for select writes()', 'commit', '', begin, INSERT]);
});
