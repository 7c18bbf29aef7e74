import fc from 'fast-check';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { inDryRun, inRun, TestRun } from '../../helpers/test-scope.js';
import { waitUntil } from '../../helpers/wait-until.js';

/** With a single connection of each kind, which every run gets in turn. */
const one = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 1 } });
const other = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 3 } });

beforeAll(() =>
  other.raw(`
    create table a (id int);
    create sequence sq;
    create function locks() returns void language sql as $$ select pg_advisory_lock(11) $$;
    create function sets() returns void language plpgsql as $$ begin perform set_config('search_path', 'pg_temp', false); end $$`),
);
afterAll(() => Promise.all([one.destroy(), other.destroy()]));

/** All of a session that Postgres lets one see. */
const session = async () =>
  (await one.raw(`select
    (select json_agg(name || '=' || setting order by name) from pg_catalog.pg_settings where source = 'session') as settings,
    (select json_agg(name) from pg_catalog.pg_prepared_statements) as prepared,
    (select json_agg(name) from pg_catalog.pg_cursors where name <> '') as cursors,
    (select json_agg(objid) from pg_catalog.pg_locks where pid = pg_catalog.pg_backend_pid() and locktype = 'advisory') as locks,
    (select json_agg(relname) from pg_catalog.pg_class where pg_catalog.pg_table_is_visible(oid) and relpersistence = 't') as tables,
    (select json_agg(c) from pg_catalog.pg_listening_channels() c) as channels,
    session_user::text as "sessionUser", current_user::text as "currentUser",
    pg_catalog.current_setting('my.patient', true) as patient`)).rows[0];

const LEFTOVERS = [
  'set statement_timeout = 70000',
  'set/**/statement_timeout/**/=/**/70000',
  `select SET_CONFIG('search_path', 'pg_temp', false)`,
  `do $$ begin perform set_config('search_path', 'pg_temp', false); end $$`,
  'select sets()',
  `with c as materialized (select set_config('work_mem', '5MB', false)) select * from c`,
  `set my.patient = 'Ada Lovelace'`,
  'set session characteristics as transaction isolation level serializable',
  `set time zone 'Asia/Tokyo'`,
  'set role pg_read_all_data',
  'set session authorization pg_read_all_data',
  'select pg_advisory_lock(10)',
  'select locks()',
  'do $$ begin perform pg_advisory_lock_shared(12); end $$',
  'prepare p as select 1',
  'listen patients',
  'do $$ begin execute \'listen patients\'; end $$',
  `declare c cursor with hold for select 'Ada Lovelace'`,
];
const WRITTEN = [
  `create temp table patient_names as select 'Ada Lovelace' as name`,
  `do $$ begin create temp table patient_names (name text); end $$`,
  `select 1 as x into temp patient_names`,
];

describe('what a run leaves in its session', () => {
  it.each([...LEFTOVERS, ...WRITTEN])('does not reach the next run, nor code outside runs: %s', async (sql) => {
    const isNew = await inRun(session);
    await inRun(() => one.raw(sql));
    expect({ ...(await inRun(session)), patient: '' }).toEqual({ ...isNew, patient: '' });
    await inRun(() => one.raw(sql));
    expect({ ...(await session()), patient: '' }).toEqual({ ...isNew, patient: '' });
  });

  it.each(LEFTOVERS)('does not reach the next dry run: %s', async (sql) => {
    const isNew = await inDryRun(session);
    await inDryRun(() => one.raw(sql));
    expect({ ...(await inDryRun(session)), patient: '' }).toEqual({ ...isNew, patient: '' });
  });

  it.each([...LEFTOVERS, ...WRITTEN])('does not reach a run that goes on at the same time: %s', async (sql) => {
    const isNew = await inRun(session);
    const [first, second] = [new TestRun(), new TestRun()];
    await first.do(async () => {
      await one.raw(sql);
      await second.do(async () => expect({ ...(await session()), patient: '' }).toEqual({ ...isNew, patient: '' }));
    });
  });

  it('is none of the next run\'s, whatever it is and in whatever order', async () => {
    const [isNew, isNewDry] = [await inRun(session), await inDryRun(session)];
    const run = fc.record({ isDryRun: fc.boolean(), statements: fc.array(fc.constantFrom(...LEFTOVERS, ...WRITTEN), { minLength: 1, maxLength: 6 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(run, { minLength: 1, maxLength: 4 }), async (runs) => {
        for (const { isDryRun, statements } of runs) {
          await new TestRun({ isDryRun }).do(async () => {
            expect({ ...(await session()), patient: '' }).toEqual({ ...(isDryRun ? isNewDry : isNew), patient: '' });
            for (const sql of statements) await one.raw(sql).catch(() => undefined);
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('stays for the run itself, from one statement to the next', async () => {
    for (const inSome of [inRun, inDryRun]) {
      await inSome(async () => {
        await one.raw('set work_mem = 5000');
        expect((await one.raw('show work_mem')).rows).toEqual([{ work_mem: '5000kB' }]);
      });
    }
    await inRun(async () => {
      await one.raw('create temp table mine (x int)');
      await one('mine').insert({ x: 1 });
      expect(await one('mine')).toEqual([{ x: 1 }]);
    });
  });

  it('stays outside runs, as with any knex', async () => {
    await one.raw('set work_mem = 5000');
    expect((await one.raw('show work_mem')).rows).toEqual([{ work_mem: '5000kB' }]);
  });

  it('is gone when the run ends, although nobody uses the connection after it', async () => {
    const isFree = async () => (await other.raw('select pg_try_advisory_lock(20) and pg_advisory_unlock(20) as free')).rows[0].free;
    await inRun(async () => {
      await one.raw('select pg_advisory_lock(20)');
      await one.raw('listen patients');
      expect(await isFree()).toBe(false);
    });
    await waitUntil('the lock is free', isFree);
  });

  it('the value of a sequence is not told to the next run', async () => {
    await inRun(() => one.raw(`select nextval('sq')`));
    await expect(inRun(() => one.raw(`select currval('sq')`))).rejects.toMatchObject({ code: '55000' });
  });

  it('is none of the driver\'s: prepared statements, listeners and parsers', async () => {
    const heard: unknown[] = [];
    await inRun(async () => {
      const connection = await one.client.acquireConnection();
      connection.on('notice', (notice: unknown) => heard.push(notice));
      connection.on('notification', (notification: unknown) => heard.push(notification));
      connection.setTypeParser(23, () => 'parsed');
      expect((await connection.query({ name: 'named', text: 'select 1::int as n' })).rows).toEqual([{ n: 'parsed' }]);
      await one.client.releaseConnection(connection);
    });
    await inRun(async () => {
      await one.raw(`do $$ begin raise notice 'Ada Lovelace'; end $$`);
      expect((await one.raw('select 2::int as n').options({ name: 'named' })).rows).toEqual([{ n: 2 }]);
    });
    expect(heard).toEqual([]);
  });

  it('is gone after a job\'s own DISCARD ALL and DEALLOCATE ALL, and named statements work on', async () => {
    await inRun(async () => {
      for (const forget of ['select 1', 'discard all', 'deallocate all']) {
        await one.raw(forget);
        expect((await one.raw('select ?::int as n', [3]).options({ name: 'named' })).rows).toEqual([{ n: 3 }]);
      }
    });
  });

  it('closes the connection where it cannot be reset, and the next run gets another one', async () => {
    const pid = async () => (await one.raw('select pg_backend_pid() as pid')).rows[0].pid;
    const before = await inRun(async () => {
      const own = await pid();
      const connection = await one.client.acquireConnection();
      await one.client.releaseConnection(connection);
      // The server refuses what comes next, as one does that the reset is too much for.
      connection.connection.query = () => connection.connection.parse({ text: 'no sql', name: '' }) ?? connection.connection.sync();
      return own;
    });
    expect(await inRun(pid)).not.toBe(before);
    expect(one.client.pool.numUsed()).toBe(0);
  });

  it('closes the connection where knex sets one up when it opens it', async () => {
    const withPath = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 1 }, searchPath: ['pg_temp', 'public'] });
    for (let i = 0; i < 3; i++) {
      await inRun(async () => {
        expect((await withPath.raw('show search_path')).rows).toEqual([{ search_path: 'pg_temp, public' }]);
        await withPath.raw('set search_path = pg_catalog');
      });
      // Also where the next run comes after whatever is done with the connection at the end of a run.
      await waitUntil('nothing of it is used', () => withPath.client.pool.numUsed() === 0);
      await other.raw('select pg_sleep(0.2)');
    }
    await withPath.destroy();
  });
});

describe('runs that go on at the same time', () => {
  it('each get the connection that they had before, as long as it is free, so that none is reset between two statements', async () => {
    const pids = (run: TestRun) => run.do(async () => {
      const seen = new Set<number>();
      for (let i = 0; i < 20; i++) seen.add((await other.raw('select pg_backend_pid() as pid')).rows[0].pid);
      return seen.size;
    });
    await inRun(() => Promise.all([other.raw('select pg_sleep(0.05)'), other.raw('select pg_sleep(0.05)'), other.raw('select pg_sleep(0.05)')]));
    expect(await Promise.all([pids(new TestRun()), pids(new TestRun()), pids(new TestRun())])).toEqual([1, 1, 1]);
  });

  it('see none of each other\'s settings, however they share connections', async () => {
    const seen: string[] = [];
    const run = (name: string) => new TestRun().do(async () => {
      for (let i = 0; i < 15; i++) {
        const value = (await one.raw(`select current_setting('my.owner', true) as owner`)).rows[0].owner;
        if (value && value !== name) seen.push(value);
        await one.raw(`select set_config('my.owner', ?, false)`, [name]);
      }
    });
    await Promise.all(['a', 'b', 'c'].map(run));
    expect(seen).toEqual([]);
  });
});
