import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type { Knex } from 'knex';
import { loadJob } from '@commons/backend/lib/job-files/module.js';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import jobsKnex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { RunStopped } from '@commons/backend/lib/run-knex/errors.js';
import type { RunWrites } from '@commons/backend/lib/run-knex/write-totals.js';
import { copyIn } from '../../helpers/copy-in.js';
import { TestRun } from '../../helpers/test-scope.js';
import { waitUntil } from '../../helpers/wait-until.js';

class ExactRun extends TestRun {
  readonly countWrites = 'exact';
}

const connection = process.env.DATABASE_URL!;
const knex = createRunKnex({ connection, pool: { min: 0, max: 3 } });
/** With a single connection, which every run gets in turn. */
const one = createRunKnex({ connection, pool: { min: 0, max: 1 } });

afterAll(() => Promise.all([knex.destroy(), one.destroy()]));
beforeAll(() =>
  knex.raw(`
    create table a (id int primary key, v int);
    create table b (id int primary key, v int, unique (v) deferrable initially deferred);
    create table child (id int references a on delete cascade);
    create table other (id int references a on delete set null);
    create table audit (n int);
    create table watched (id int);
    create table late (id int);
    create table measure (id int, year int) partition by list (year);
    create table measure_1 partition of measure for values in (1);
    create table measure_2 partition of measure for values in (2);
    create table long (text text);
    alter table long alter text set storage external;
    create schema "My Schema";
    create table "My Schema"."T ""q" (id int);
    create view shown as select id, v from a;
    create function audited() returns trigger language plpgsql as $$ begin insert into audit values (1); return null; end $$;
    create trigger watched after insert on watched for each row execute function audited();
    create constraint trigger late after insert on late deferrable initially deferred for each row execute function audited();
    create function wr(rows int) returns int language sql volatile as $$ insert into audit select generate_series(1, rows); select 1 $$;
    create procedure pr() language sql as $$ delete from audit; update a set v = 3 where id < 3 $$;
    create function guarded() returns void language plpgsql as $$ begin
      for i in 9..11 loop begin insert into a values (i, 0); exception when unique_violation then null; end; end loop; end $$`),
);

const reset = () =>
  knex.raw(`truncate a, b, child, other, audit, watched, late, measure, long, "My Schema"."T ""q";
    insert into a select g, 0 from generate_series(1, 10) g; insert into b select g, g from generate_series(1, 3) g;
    insert into child values (1), (1), (2); insert into other values (1), (2), (5)`);

type Work = (db: Knex) => unknown;
const sql = (text: string): Work => (db) => db.raw(text);
const inTransaction = (work: Work) => () => knex.transaction(async (trx) => void (await work(trx)));

async function writesOf(run: TestRun, work: () => unknown): Promise<RunWrites> {
  await reset();
  await run.do(work);
  return run.database.writes;
}

const MERGE = 'merge into a using (values (1, 9), (60, 8), (2, 0)) t (id, v) on a.id = t.id when matched and t.v = 0 then delete when matched then update set v = t.v when not matched then insert values (t.id, t.v)';

// docs/the-runs-database.md holds these rows as a table.
describe('what is counted', () => {
  describe.each<[string, Work, { byDefault: RunWrites; exactly?: RunWrites }]>([
    ['INSERT', (db) => db('a').insert({ id: 20 }), { byDefault: { a: { insert: 1 } } }],
    ['INSERT of several rows', (db) => db('a').insert([{ id: 20 }, { id: 21 }]), { byDefault: { a: { insert: 2 } } }],
    ['UPDATE ... FROM', sql('update a as x set v = y.id from a y where y.id = x.id and x.id in (1, 2)'), { byDefault: { a: { update: 2 } } }],
    ['DELETE ... USING', sql('delete from a using generate_series(9, 10) g where g = a.id'), { byDefault: { a: { delete: 2 } } }],
    ['ON CONFLICT DO NOTHING', (db) => db('a').insert([{ id: 1 }, { id: 20 }]).onConflict('id').ignore(), { byDefault: { a: { insert: 1 } } }],
    ['ON CONFLICT DO UPDATE', (db) => db('a').insert([{ id: 1 }, { id: 20 }, { id: 21 }]).onConflict('id').merge(), { byDefault: { a: { insert: 3 } }, exactly: { a: { insert: 2, update: 1 } } }],
    ['MERGE', sql(`delete from child; update other set id = 3; ${MERGE}`), {
      byDefault: { child: { delete: 3 }, other: { update: 3 }, a: { merge: 3 } },
      exactly: { child: { delete: 3 }, other: { update: 3 }, a: { insert: 1, update: 1, delete: 1 } },
    }],
    ['writes in a WITH', sql('with x as (delete from b where id < 3 returning id) insert into audit select id from x'), {
      byDefault: { b: { delete: 'unknown' }, audit: { insert: 2 } },
      exactly: { b: { delete: 2 }, audit: { insert: 2 } },
    }],
    ['COPY', (db) => copyIn(db, 'copy a (id, v) from stdin', '70\t71\n71\t72\n'), { byDefault: { a: { copy: 2 } }, exactly: { a: { insert: 2 } } }],
    ['a trigger', sql('insert into watched values (1), (2)'), { byDefault: { watched: { insert: 2 } }, exactly: { watched: { insert: 2 }, audit: { insert: 2 } } }],
    ['a trigger that is deferred to the COMMIT', sql('insert into late values (1), (2)'), { byDefault: { late: { insert: 2 } }, exactly: { late: { insert: 2 }, audit: { insert: 2 } } }],
    ['a function', sql('select wr(4)'), { byDefault: {}, exactly: { audit: { insert: 4 } } }],
    ['DO', sql('do $$ begin perform wr(3); delete from audit; end $$'), { byDefault: {}, exactly: { audit: { insert: 3, delete: 3 } } }],
    ['CALL', sql('call pr()'), { byDefault: {}, exactly: { a: { update: 2 } } }],
    ['cascades', sql('delete from a where id = 1'), { byDefault: { a: { delete: 1 } }, exactly: { a: { delete: 1 }, child: { delete: 2 }, other: { update: 1 } } }],
    ['a view', sql('update shown set v = 1 where id = 1'), { byDefault: { shown: { update: 1 } }, exactly: { a: { update: 1 } } }],
    ['partitions', sql('insert into measure values (1, 1), (2, 2), (3, 2)'), { byDefault: { measure: { insert: 3 } } }],
    ['an UPDATE that moves a row to another partition', sql('insert into measure values (1, 1); update measure set year = 2'), {
      byDefault: { measure: { insert: 1, update: 1 } },
      exactly: { measure: { insert: 2, delete: 1 } },
    }],
    ['a temporary table', sql('create temp table scratch (n int); insert into scratch values (1), (2); drop table scratch; create temp table kept (n int); insert into kept values (1); discard plans'), {
      byDefault: { scratch: { insert: 2 }, kept: { insert: 1 } },
      exactly: { kept: { insert: 1 } },
    }],
    ['CREATE TABLE AS', sql('create temp table made as select 1 from generate_series(1, 3)'), { byDefault: {}, exactly: { made: { insert: 3 } } }],
    ['a long value, once', sql(`insert into long values (repeat('x', 100000))`), { byDefault: { long: { insert: 1 } } }],
    ['a table with a schema and quotes', sql('insert into "My Schema"."T ""q" values (1)'), { byDefault: { 'My Schema.T "q': { insert: 1 } } }],
    ['TRUNCATE, whose rows nobody counts', sql('insert into audit values (1); truncate audit; insert into audit values (1), (2)'), {
      byDefault: { audit: { insert: 3, truncate: 'unknown' } },
      exactly: { audit: { insert: 2, truncate: 'unknown' } },
    }],
    ['DDL, which writes no rows', sql('alter table b add column x int default random() * 9; create index on b (x); alter table b alter x type bigint; alter table b drop column x; create table gone as select 1; drop table gone'), { byDefault: {} }],
    ['a stream that is left before its end', async (db) => { for await (const _ of db('a').update({ v: 1 }).returning('*').stream({ highWaterMark: 1 })) break; }, {
      byDefault: { a: { update: 'unknown' } },
      exactly: { a: { update: 10 } },
    }],
    // The counters count what was tried; the docs say so.
    ['an EXCEPTION block that undid a row', sql('select guarded()'), { byDefault: {}, exactly: { a: { insert: 3 } } }],
  ])('of %s', (_, work, { byDefault, exactly = byDefault }) => {
    it('by default, in a transaction', async () => expect(await writesOf(new TestRun(), inTransaction(work))).toEqual(byDefault));
    it("with 'exact', outside transactions: as by default", async () => expect(await writesOf(new ExactRun(), () => work(one))).toEqual(byDefault));
    it("with 'exact', in a transaction", async () => expect(await writesOf(new ExactRun(), inTransaction(work))).toEqual(exactly));
    afterEach(() => knex.raw('drop table if exists kept, made').then(() => one.raw('drop table if exists kept, made')));
  });
});

const exactly = async (work: () => unknown) => writesOf(new ExactRun(), work);
const failing = () => Promise.reject(new Error('no'));
const ignore = () => undefined;

describe("a transaction that is counted 'exact'ly", () => {
  it('counts nothing when it is rolled back', async () => {
    expect(await exactly(() => knex.transaction(async (trx) => (await trx.raw('select wr(3)'), failing())).catch(ignore))).toEqual({});
    expect(await exactly(() => knex.transaction(async (trx) => (await trx.raw('select wr(3)'), trx.raw('select 1/0'))).catch(ignore))).toEqual({});
  });

  it('counts nothing, and fails as it would, when its COMMIT fails at a deferred constraint', async () => {
    const run = new ExactRun();
    await reset();
    await run.do(async () => {
      const insert = one.transaction((trx) => trx('b').insert({ id: 90, v: 1 }));
      await expect(insert).rejects.toMatchObject({ code: '23505', constraint: 'b_v_key' });
      expect(await one('b').where({ id: 90 })).toEqual([]);
      await one.transaction((trx) => trx('b').insert({ id: 91, v: 91 }));
    });
    expect(run.database.writes).toEqual({ b: { insert: 1 } });
  });

  it('is not failed for a COMMIT after an error, which Postgres takes for a ROLLBACK', async () => {
    const writes = await exactly(async () => {
      const raw = await knex.client.acquireConnection();
      await raw.query('begin');
      await raw.query('select wr(1)');
      await raw.query('select 1/0').catch(ignore);
      expect((await raw.query('commit')).command).toBe('ROLLBACK');
      await raw.query('begin; select wr(2); commit');
      await raw.query('start transaction isolation level serializable');
      await raw.query('select wr(4)');
      await raw.query('end');
      await knex.client.releaseConnection(raw);
    });
    expect(writes).toEqual({ audit: { insert: 4 } });
  });

  it('leaves out what was rolled back to a savepoint, though the counters keep it', async () => {
    const writes = await exactly(() =>
      knex.transaction(async (trx) => {
        await trx('audit').insert([{ n: 1 }, { n: 2 }]);
        // Undone: a table that was written before, and one whose lock goes with the savepoint.
        await trx.transaction(async (inner) => (await inner.raw('select wr(5); update a set v = 1'), failing())).catch(ignore);
        await trx.transaction(async (inner) => (await inner.raw('select wr(5); delete from b'), inner.raw('select 1/0'))).catch(ignore);
        await trx('a').where('id', '<', 4).update({ v: 2 });
        await trx.raw('select wr(1)');
      }),
    );
    expect(writes).toEqual({ audit: { insert: 3 }, a: { update: 3 } });
  });

  it('keeps what a released savepoint holds, however they nest', async () => {
    const writes = await exactly(() =>
      knex.transaction(async (trx) => {
        await trx.transaction(async (inner) => {
          await inner.raw('select wr(1)');
          await inner.transaction((innermost) => innermost.raw('select wr(2)'));
          await inner.transaction(async (innermost) => (await innermost.raw('select wr(4)'), failing())).catch(ignore);
          await inner.raw('select wr(8)');
        });
        await trx.transaction(async (inner) => {
          await inner.transaction((innermost) => innermost.raw('select wr(16)'));
          await failing();
        }).catch(ignore);
      }),
    );
    expect(writes).toEqual({ audit: { insert: 11 } });
  });

  it('follows savepoints of one name, and one that is rolled back to twice', async () => {
    const writes = await exactly(() =>
      knex.transaction(async (trx) => {
        for (const step of ['savepoint s', 'select wr(1)', 'savepoint "s"', 'select wr(2)', 'release savepoint s', 'rollback to s', 'select wr(4)', 'rollback work to savepoint s;', 'select wr(8)', 'release s']) await trx.raw(step);
      }),
    );
    expect(writes).toEqual({ audit: { insert: 8 } });
  });

  it('counts what is there afterwards, whatever comes between BEGIN and COMMIT', async () => {
    const savepoint = fc.constantFrom('savepoint s', 'savepoint t', 'release s', 'release savepoint t', 'rollback to s', 'rollback to savepoint t');
    const write = fc.constantFrom('select wr(1)', 'select wr(3)', 'insert into watched values (1), (2)', 'insert into late values (1)', 'select 1/0');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(savepoint, write), { maxLength: 25 }), fc.constantFrom('commit', 'commit', 'rollback'), async (steps, end) => {
        const run = new ExactRun();
        await knex.raw('truncate audit, watched, late');
        await run.do(async () => {
          const raw = await one.client.acquireConnection();
          for (const step of ['begin', ...steps, end]) await raw.query(step).catch(ignore);
          await one.client.releaseConnection(raw);
        });
        const { rows } = await knex.raw('select (select count(*) from audit)::int audit, (select count(*) from watched)::int watched, (select count(*) from late)::int late');
        const there = Object.entries(rows[0] as Record<string, number>).filter(([, count]) => count > 0).map(([table, insert]) => [table, { insert }]);
        expect(run.database.writes).toEqual(Object.fromEntries(there));
      }),
      { numRuns: 100 },
    );
  });

  it('is counted as by default from where a text holds savepoints among other statements', async () => {
    const work = inTransaction(async (trx) => {
      await trx.raw('savepoint s; insert into watched values (1), (2)');
      await trx.raw('rollback to s');
      await trx.raw('insert into watched values (1)');
    });
    expect(await exactly(work)).toEqual({ watched: { insert: 1 } });
  });

  it('counts no statement twice, be there others before it and behind it on the connection', async () => {
    const writes = await exactly(async () => {
      await one.raw('insert into audit values (1)');
      for (let i = 0; i < 3; i++) await one.transaction((trx) => trx.raw('insert into audit values (1), (2); select wr(1)'));
      const raw = await one.client.acquireConnection();
      // The second one began where nothing could be asked: it is counted by the answers to its statements.
      for (const text of ['begin', 'insert into audit values (1)', 'commit; begin', 'insert into watched values (1)', 'commit']) await raw.query(text);
      // Neither are these its own.
      for (const text of ['begin', 'insert into audit values (1)', 'commit and chain', 'insert into watched values (1)', 'commit']) await raw.query(text);
      await one.client.releaseConnection(raw);
    });
    expect(writes).toEqual({ audit: { insert: 12 }, watched: { insert: 2 } });
  });

  it('takes nothing of an earlier run, of another run, or of one that is not counted so', async () => {
    await reset();
    const runs = [new TestRun(), new ExactRun(), new TestRun(), new ExactRun()];
    const insert = (trx: Knex) => trx.raw('select wr(3); insert into watched values (1)');
    for (const run of runs) await run.do(async () => (await insert(one), await one.transaction((trx) => insert(trx))));
    const byDefault = { watched: { insert: 2 } };
    const exact = { watched: { insert: 2 }, audit: { insert: 4 } };
    expect(runs.map(({ database }) => database.writes)).toEqual([byDefault, exact, byDefault, exact]);
  });

  it('names the table of an EXECUTE', async () => {
    const work = inTransaction(async (trx) => (await trx.raw('prepare p as insert into audit values (1), (2)'), trx.raw('execute p')));
    expect(await writesOf(new TestRun(), work)).toEqual({ unknown: { insert: 2 } });
    expect(await exactly(work)).toEqual({ audit: { insert: 2 } });
  });

  it('adds up with those that the run has open at the same time', async () => {
    let open = 0;
    let goOn: () => void;
    const allAreOpen = new Promise<void>((resolve) => (goOn = resolve));
    const work = (rows: number) =>
      knex.transaction(async (trx) => {
        await trx.raw(`select wr(${rows})`);
        if (++open === 3) goOn();
        await allAreOpen;
        await trx('a').where({ id: rows }).update({ v: rows });
      });
    expect(await exactly(() => Promise.all([1, 2, 3].map(work)))).toEqual({ audit: { insert: 6 }, a: { update: 3 } });
  });

  it('needs no rights beyond those of any role', async () => {
    // Roles are the whole server's, which other specs share.
    const role = `plain_${randomUUID().slice(0, 8)}`;
    await knex.raw(`create role ${role}; grant all on all tables in schema public to ${role}`);
    const asPlain = createRunKnex({ connection: { connectionString: connection, options: `-c role=${role}` }, pool: { min: 0, max: 1 } });
    expect(await exactly(() => asPlain.transaction((trx) => trx.raw('select wr(2)')))).toEqual({ audit: { insert: 2 } });
    await asPlain.destroy();
    await knex.raw(`drop owned by ${role}; drop role ${role}`);
  });

  it('is counted as by default, with a warning, where the server does not count', async () => {
    const warn = jest.spyOn(logger, 'warn').mockImplementation();
    const uncounted = createRunKnex({ connection: { connectionString: connection, options: '-c track_counts=off' }, pool: { min: 0, max: 1 } });
    const insert = () => uncounted.transaction((trx) => trx.raw('insert into watched values (1), (2)'));
    expect(await exactly(async () => (await insert(), insert()))).toEqual({ watched: { insert: 4 } });
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('counted as by default'), 'run-knex', { reason: 'track_counts is off' });
    warn.mockRestore();
    await uncounted.destroy();
  });

  it('counts what goes to a foreign table by the answers to its statements, since no counter here does', async () => {
    const { rows } = await knex.raw(`select current_setting('unix_socket_directories') as host, current_setting('port') as port, current_database() as dbname, current_user as "user"
      where exists (select from pg_available_extensions where name = 'postgres_fdw')`);
    // A server of the caller's own may have neither. The one that the tests start has both.
    if (!rows[0]?.host.startsWith('/')) return expect(process.env.TEST_DATABASE_URL).toBeDefined();
    const { host, port, dbname, user } = rows[0];
    await knex.raw(`create extension postgres_fdw; create schema far;
      create server far foreign data wrapper postgres_fdw options (host '${host}', port '${port}', dbname '${dbname}');
      create user mapping for current_user server far options (user '${user}');
      create foreign table far.away (n int) server far options (schema_name 'public', table_name 'audit')`);
    const work = inTransaction((trx) => trx.raw('insert into far.away values (1), (2); insert into watched values (1)'));
    expect(await writesOf(new TestRun(), work)).toEqual({ 'far.away': { insert: 2 }, watched: { insert: 1 } });
    expect(await exactly(work)).toEqual({ 'far.away': { insert: 2 }, watched: { insert: 1 }, audit: { insert: 1 } });
    await knex.raw('drop schema far cascade; drop extension postgres_fdw cascade');
  });

  it('asks nothing in a dry run, which writes nothing', async () => {
    const run = new ExactRun({ isDryRun: true });
    await run.do(() => one.transaction((trx) => trx('a').first()));
    expect(run.database.countsExactly).toBe(false);
    expect(run.database.writes).toEqual({});
  });

  it('is rolled back when its run is stopped in the middle of its COMMIT', async () => {
    await reset();
    await knex.raw(`create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$;
      create constraint trigger slow after insert on audit deferrable initially deferred for each row execute function slow()`);
    const run = new ExactRun();
    const ended = run.do(() => knex.transaction((trx) => trx.raw('select wr(1)')));
    const outcome = expect(ended).rejects.toBeInstanceOf(RunStopped);
    const sleeping = async () => (await one.raw(`select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`)).rows.length === 1;
    await waitUntil('the deferred trigger runs', sleeping);
    run.controller.abort();
    await outcome;
    expect(run.database.writes).toEqual({});
    expect(await one('audit')).toEqual([]);
    await one.raw('drop trigger slow on audit; drop function slow');
  });
});

describe("a job's config.countWrites", () => {
  const job = (config: object, handler: () => Promise<unknown>): Job => ({
    slug: 'counts-writes',
    file: 'counts-writes.ts',
    load: () => loadJob('counts-writes.ts', Promise.resolve({ default: handler, config })),
  });
  const backfill = () =>
    processInBatches({
      query: jobsKnex('a').select('id'),
      batchSize: 4,
      transaction: true,
      batch: async (rows, trx) => void (await trx!.raw('insert into watched select id from a where id = any(?)', [rows.map(({ id }) => id)])),
    });

  it.each([
    ['as by default, when there is none', {}, { watched: { insert: 10 } }],
    ["exactly, when it is 'exact', without the service's own checkpoints", { countWrites: 'exact' }, { watched: { insert: 10 }, audit: { insert: 10 } }],
  ])('counts what a run writes %s', async (_, config, writes) => {
    await reset();
    expect(await runJob(job(config, backfill), { trigger: 'run', body: {} })).toMatchObject({ outcome: { status: 'succeeded' }, writes });
  });

  it('is refused when it is anything else', async () => {
    const run = await runJob(job({ countWrites: 'most' }, backfill), { trigger: 'run', body: {} });
    expect(run).toMatchObject({ outcome: { status: 'failed', httpStatus: 500 } });
    await expect(job({ countWrites: 'most' }, backfill).load()).rejects.toMatchObject({ cause: { message: expect.stringContaining('config.countWrites is none of exact') } });
  });
});
