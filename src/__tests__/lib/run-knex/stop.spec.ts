import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { RunStopped } from '@commons/backend/lib/run-knex/errors.js';
import { ServiceError } from '@commons/backend/lib/errors/service-error.js';
import { TestRun } from '../../helpers/test-scope.js';
import { waitUntil } from '../../helpers/wait-until.js';

const knex = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 3 } });
const SLEEP = 'select pg_sleep(60)';

beforeAll(() => knex.raw('create table a (id int primary key, v int); insert into a select g, 1 from generate_series(1, 10) g'));
afterAll(() => knex.destroy());

/** What the other connections of this database do at the moment. */
const busy = async (): Promise<{ query: string }[]> =>
  (await knex.raw(`select query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`)).rows;

/** Starts `work` in a run, stops the run after a moment, and says how the run ended and how long that took. */
async function stopped(work: () => unknown, reason?: unknown) {
  const run = new TestRun();
  const ended = run.do(work).then((value) => ({ value }), (error: unknown) => ({ error }));
  await delay(200);
  const since = performance.now();
  run.controller.abort(reason);
  return { run, ...(await ended), ms: performance.now() - since };
}

describe('a run that is stopped', () => {
  it.each<[string, () => unknown]>([
    ['in a query', () => knex.raw(SLEEP)],
    ['in a transaction', () => knex.transaction(async (trx) => void (await trx('a').where({ id: 1 }).update({ v: 777 }), await trx.raw(SLEEP)))],
    ['in a transaction that nobody would close', async () => {
      const trx = await knex.transaction();
      await trx('a').where({ id: 1 }).update({ v: 777 });
      await trx.raw(SLEEP);
    }],
    ['between two queries of a transaction', () => knex.transaction(async (trx) => void (await trx('a').where({ id: 1 }).update({ v: 777 }), await delay(500), await trx('a').del()))],
    ['before the COMMIT', () => knex.transaction(async (trx) => { await trx('a').where({ id: 1 }).update({ v: 777 }); await delay(500); })],
    ['in a savepoint', () => knex.transaction((trx) => trx.transaction(async (inner) => void (await inner('a').where({ id: 1 }).update({ v: 777 }), await inner.raw(SLEEP))))],
    ['between queries', async () => { for (;;) await knex.raw('select 1'); }],
    ['in a stream', async () => { for await (const _ of knex.raw(SLEEP).stream()); }],
    ['with queries waiting on one connection', () => knex.transaction((trx) => Promise.all([trx.raw(SLEEP), trx.raw(SLEEP)]))],
    ['with queries waiting for a connection', () => Promise.all(Array.from({ length: 9 }, () => knex.raw(SLEEP)))],
    ['on a raw connection of its own', async () => (await knex.client.acquireRawConnection()).query(SLEEP)],
  ])('%s ends long before its query would, leaves nothing running, and writes nothing', async (_, work) => {
    const { run, ms, ...ended } = await stopped(work);
    expect(ended).toEqual({ error: expect.any(RunStopped) });
    expect(ms).toBeLessThan(20_000);
    await waitUntil('the server has nothing left of it', async () => (await busy()).length === 0);
    expect(run.database.writes).toEqual({});
    expect(await knex('a').where({ v: 777 })).toEqual([]);
    expect(knex.client.pool.numUsed()).toBe(0);
  });

  it('throws what it was stopped with as the cause, with its status', async () => {
    const reason = new ServiceError(504, 'Too long.');
    expect(await stopped(() => knex.raw(SLEEP), reason)).toMatchObject({ error: { status: 504, cause: reason, message: 'The run was stopped, so its query was not done.' } });
  });

  it('lets its own error out of a transaction that it rolls back', async () => {
    const error = new Error('mine');
    const ended = await stopped(() => knex.transaction(async (trx) => trx.transaction(async (inner) => {
      await inner.raw('select 1');
      await delay(400);
      throw error;
    })));
    expect(ended).toMatchObject({ error });
  });

  it('that ignores it is refused every query', async () => {
    const refused: unknown[] = [];
    const ended = await stopped(async () => {
      for (let i = 0; i < 3; i++) await knex.raw(SLEEP).catch((error: unknown) => refused.push(error));
      return 'ignored it';
    });
    expect(ended).toMatchObject({ value: 'ignored it' });
    expect(refused).toEqual(Array(3).fill(expect.any(RunStopped)));
  });

  it('before its first query makes none', async () => {
    const run = new TestRun();
    run.controller.abort();
    await expect(run.do(() => knex('a').del())).rejects.toBeInstanceOf(RunStopped);
    expect(await knex('a')).toHaveLength(10);
  });

  it('harms no other run that uses the same connections', async () => {
    const one = createRunKnex({ connection: process.env.DATABASE_URL!, pool: { min: 0, max: 1 } });
    let stops = 0;
    for (let i = 0; i < 60; i++) {
      const run = new TestRun();
      setTimeout(() => run.controller.abort(), i % 5);
      const endless = run.do(async () => { for (;;) await one.raw(`select pg_sleep(${(i % 7) / 5_000})`); }).catch((error: unknown) => { if (error instanceof RunStopped) stops++; });
      const other = new TestRun().do(async () => { for (let j = 0; j < 4; j++) await one.raw('select pg_sleep(0.0007)'); });
      await Promise.all([endless, other]);
    }
    expect(stops).toBe(60);
    await one.destroy();
  });
});

describe('a run that is over', () => {
  it('has what it left open rolled back and given back', async () => {
    await new TestRun().do(async () => {
      const trx = await knex.transaction();
      await trx('a').del();
      void knex.raw(SLEEP).catch(() => undefined);
      void (await knex.client.acquireRawConnection());
      await delay(100);
    });
    expect(await knex('a')).toHaveLength(10);
    expect(knex.client.pool.numUsed()).toBe(0);
    await waitUntil('the server has nothing left of it', async () => (await busy()).length === 0);
  });

  it('is refused what it asks for later, in a transaction of its own too', async () => {
    let later: Promise<unknown>[] = [];
    await new TestRun().do(async () => {
      const trx = await knex.transaction();
      later = [delay(100).then(() => knex('a').del()), delay(100).then(() => trx('a').del())];
      for (const each of later) each.catch(() => undefined);
    });
    for (const each of later) await expect(each).rejects.toThrow('The run is over, so it cannot use the database any more.');
    expect(await knex('a')).toHaveLength(10);
  });

  it('that had used no database is refused it all the same', async () => {
    const run = new TestRun();
    let late: Promise<unknown> = Promise.resolve();
    await run.do(() => {
      late = delay(50).then(() => knex('a').del());
      late.catch(() => undefined);
    });
    await expect(late).rejects.toBeInstanceOf(RunStopped);
  });
});

describe('a run that is stopped, last of all', () => {
  // Last, since the server goes on with the query until it is done.
  it('ends even when the server can no longer be reached', async () => {
    // A relay in front of Postgres that goes deaf: nothing comes back, and nothing is refused.
    const url = new URL(process.env.DATABASE_URL!);
    let isDeaf = false;
    const relay = net.createServer((socket) => {
      const server = net.connect(`${url.searchParams.get('host')}/.s.PGSQL.${url.port || 5432}`);
      socket.on('data', (data) => void (isDeaf || server.write(data))).on('error', () => undefined).on('close', () => server.destroy());
      server.on('data', (data) => void (isDeaf || socket.write(data))).on('error', () => undefined);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const { port } = relay.address() as net.AddressInfo;
    const far = createRunKnex({ connection: { host: '127.0.0.1', port, user: url.username, database: url.pathname.slice(1) }, pool: { min: 0, max: 1 } });
    setTimeout(() => (isDeaf = true), 100);
    const { ms, ...ended } = await stopped(() => far.raw('select pg_sleep(30)'));
    expect(ended).toMatchObject({ error: expect.any(RunStopped) });
    expect(ms).toBeLessThan(25_000);
    await far.destroy();
    relay.close();
  });
});
