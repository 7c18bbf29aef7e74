import type { Knex } from 'knex';
import type { JSONData } from '@commons/backend/jobs/helpers.js';
import knex from '@commons/backend/lib/knex.js';
import { EveryItemFailed, processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { type CurrentRun, runInScope, type RunProgress } from '@commons/backend/lib/run-scope.js';
import { recorderPool } from '@commons/backend/lib/database/service-pools.js';
import { RunDatabase } from '@commons/backend/lib/run-knex/run-database.js';

/** A run that keeps its cursor in a table, as the real one does. */
function testRun(given: { cursor?: JSONData | undefined; onlyKeys?: JSONData[]; isDryRun?: boolean } = {}) {
  const controller = new AbortController();
  const reports: RunProgress[] = [];
  const failures: { key: JSONData; error: unknown }[] = [];
  const redone: JSONData[] = [];
  const run = {
    id: 'test', jobName: 'test', attempt: 1, deadline: new Date(), isDryRun: false, cursor: undefined, onlyKeys: undefined,
    ...given,
    signal: controller.signal,
    progress: (counts: RunProgress) => void reports.push(counts),
    failure: (failure: { key: JSONData; error: unknown }) => void failures.push(failure),
    checkpoint: async (cursor: JSONData, trx?: Knex, again: readonly JSONData[] = []) => {
      redone.push(...again);
      const text = JSON.stringify(cursor);
      // The jobs' own knex does nothing more for a run that was stopped, and writes nothing for one that is dry.
      await (trx ? trx('kept').update({ cursor: text }) : recorderPool.query({ text: 'update kept set cursor = $1', values: [text] }));
    },
  } satisfies CurrentRun;
  const inside = <T>(work: () => Promise<T>): Promise<T> => runInScope({ run, database: new RunDatabase(run), keepLine: () => undefined }, work);
  return { inside, reports, failures, redone, signal: controller.signal, stop: () => controller.abort(new Error('told to stop')) };
}

const kept = async (): Promise<JSONData | undefined> => (await knex<{ cursor: JSONData | null }>('kept').first())?.cursor ?? undefined;

const items = () => knex<{ id: number; done: number }>('item');
const bump = (trx: Knex, rows: readonly { id: number }[]) => trx('item').whereIn('id', rows.map(({ id }) => id)).increment('done');
const doneByCount = async () => Object.fromEntries((await knex('item').groupBy('done').select<{ done: number; n: number }[]>('done', knex.raw('count(*)::int as n'))).map(({ done, n }) => [done, n]));

beforeEach(async () => {
  await knex.raw(`drop table if exists item, kept; create table item (id int primary key, done int not null default 0);
    insert into item select n from generate_series(1, 100) n; create table kept (cursor jsonb); insert into kept values (null)`);
});

describe('processInBatches in a run', () => {
  it('goes on exactly where a transactional attempt was cut off, wherever that was', async () => {
    for (let cut = 0; cut < 24; cut++) {
      await knex('item').update({ done: 0 });
      await knex('kept').update({ cursor: null });
      let moment = 0;
      // As a kill does: at this moment the connection ends, and what was not committed is gone.
      const cutOff = async (trx: Knex) => {
        if (moment++ === cut) await trx.raw('select pg_terminate_backend(pg_backend_pid())');
      };
      const work = () =>
        processInBatches({
          query: items(),
          batchSize: 10,
          transaction: true,
          maxFailures: 0,
          batch: async (rows, trx) => {
            await cutOff(trx);
            await bump(trx, rows);
            await cutOff(trx);
          },
        });
      await testRun().inside(work).catch(() => undefined);
      moment = -1000;
      await expect(testRun({ cursor: await kept() }).inside(work)).resolves.toEqual({ isDryRun: false, processed: 100, succeeded: 100, failed: 0 });
      await expect(doneByCount()).resolves.toEqual({ 1: 100 });
    }
  });

  it('does not record a batch that could not be committed', async () => {
    const run = testRun();
    await knex.raw('create or replace function refuse() returns trigger language plpgsql as $$ begin raise \'at commit\'; end $$');
    await knex.raw('create constraint trigger late after update on item deferrable initially deferred for each row when (new.id = 35) execute function refuse()');
    const work = () => processInBatches({ query: items(), batchSize: 10, transaction: true, batch: (rows, trx) => bump(trx, rows) });
    await expect(run.inside(work)).rejects.toThrow('at commit');
    await knex.raw('drop trigger late on item');
    await testRun({ cursor: await kept() }).inside(work);
    await expect(doneByCount()).resolves.toEqual({ 1: 100 });
  });

  it('stops between items when told to, and repeats none that was done before', async () => {
    const run = testRun();
    const seen: number[] = [];
    const work = (stopAt: number) => () =>
      processInBatches({
        query: items(),
        batchSize: 10,
        each: ({ id }) => {
          seen.push(id);
          if (id === stopAt) run.stop();
          if (id % 20 === 0) throw new Error('no');
        },
      });
    await expect(run.inside(work(34))).rejects.toThrow('told to stop');
    expect(seen.at(-1)).toBe(34);
    const result = await testRun({ cursor: await kept() }).inside(work(0));
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
    expect(result).toMatchObject({ processed: 100, succeeded: 95, failed: 5 });
  });

  it('repeats, of items that ran at a time, those behind the first that was not done, and passes over none', async () => {
    const run = testRun();
    const seen: number[] = [];
    const work = (stopAt: number) => () =>
      processInBatches({
        query: items(),
        batchSize: 10,
        concurrency: 3,
        each: async ({ id }) => {
          if (id === stopAt) run.stop();
          await new Promise((resolve) => setTimeout(resolve, id % 3));
          seen.push(id);
        },
      });
    await expect(run.inside(work(47))).rejects.toThrow('told to stop');
    await expect(testRun({ cursor: await kept() }).inside(work(0))).resolves.toMatchObject({ processed: 100 });
    expect(new Set(seen).size).toBe(100);
    expect(seen.length).toBeLessThan(105);
  });

  it('says, of items that ran at a time, which of the failed ones a resumed run does again', async () => {
    const run = testRun();
    const work = () =>
      processInBatches({
        query: items(),
        concurrency: 3,
        each: async ({ id }) => {
          if (id === 2) await new Promise((resolve) => run.signal.addEventListener('abort', resolve));
          if (id === 6) run.stop();
          throw new Error('no');
        },
      });
    await expect(run.inside(work)).rejects.toThrow('told to stop');
    expect(await kept()).toMatchObject({ steps: { 1: { processed: 1, failed: 1 } } });
    expect(run.failures.map(({ key }) => key)).toEqual(expect.arrayContaining(['1', '3', '4', '5']));
    expect(run.redone).toEqual(run.failures.map(({ key }) => key).filter((key) => key !== '1'));
  });

  it('keeps to its limit over all attempts', async () => {
    const run = testRun();
    const work = () => processInBatches({ query: items(), batchSize: 10, limit: 35, transaction: true, batch: async (rows, trx) => {
      if (rows[0]!.id === 21) run.stop();
      await bump(trx, rows);
    } });
    await expect(run.inside(work)).rejects.toThrow('told to stop');
    await expect(testRun({ cursor: await kept() }).inside(work)).resolves.toMatchObject({ processed: 35 });
    await expect(doneByCount()).resolves.toEqual({ 0: 65, 1: 35 });
  });

  it('judges by what all attempts did whether every item failed, and keeps the failed ones', async () => {
    const work = (from: number, stop?: () => void) => () => processInBatches({ query: items(), batchSize: 10, transaction: true, each: ({ id }) => {
      if (id >= from) throw new Error('no');
      if (id === 30) stop?.();
    } });
    const run = testRun();
    await expect(run.inside(work(31, run.stop))).rejects.toThrow('told to stop');
    await expect(testRun({ cursor: await kept() }).inside(work(21))).resolves.toMatchObject({ processed: 100, succeeded: 20, failed: 80 });
    await knex('kept').update({ cursor: null });
    const failing = testRun();
    await expect(failing.inside(work(1))).rejects.toThrow(/^Every item failed: 100 of 100\. .*retry <id> --only-failed, or POST \/runs\/<id>\/retry\?only=failed\.$/);
    expect(failing.failures).toHaveLength(100);
    expect(failing.reports.at(-1)).toMatchObject({ processed: 100, succeeded: 0, failed: 100 });
    // There is nothing left for it to do: what is right then is a retry of the failed items.
    const again = await testRun({ cursor: await kept() }).inside(work(101)).catch((error: unknown) => error);
    expect(again).toBeInstanceOf(EveryItemFailed);
    expect((again as Error).message).toMatch(/^Nothing is left to resume: .*100.*retry <id> --only-failed/);
  });

  it('passes over the steps that were done, and goes on inside the one that was not', async () => {
    const calls: string[] = [];
    const run = testRun();
    const job = async () => {
      const step = (name: string) => processInBatches({ query: items(), batchSize: 50, each: ({ id }) => {
        if (name === 'second' && id === 60) run.stop();
        calls.push(`${name} ${id}`);
      } });
      await step('first');
      return step('second');
    };
    await expect(run.inside(job)).rejects.toThrow('told to stop');
    await expect(testRun({ cursor: await kept() }).inside(job)).resolves.toMatchObject({ processed: 100 });
    expect(calls).toHaveLength(200);
    expect(new Set(calls).size).toBe(200);
  });

  it('does not go on by another key, nor from a cursor that a job saved itself', async () => {
    await testRun().inside(() => processInBatches({ query: items(), limit: 10, each: () => 0 }));
    const cursor = await kept();
    await expect(testRun({ cursor }).inside(() => processInBatches({ query: items(), key: 'done', each: () => 0 }))).rejects.toThrow(/by another key than done/);
    await expect(testRun({ cursor: 5 }).inside(() => processInBatches({ query: items(), each: () => 0 }))).rejects.toThrow(/not saved by processInBatches/);
  });

  it('keeps what failed, by its key, and does just that in a retry', async () => {
    await knex.raw('alter table item add at timestamptz; update item set at = timestamptz \'2026-01-01\' + id * interval \'1 microsecond\'');
    for (const [key, expected] of [['id', '7'], [['at', 'id'], [expect.stringContaining('.000007'), '7']]] as const) {
      const run = testRun();
      const seen: number[] = [];
      const work = () => processInBatches({ query: items(), key, batchSize: 30, each: ({ id }) => {
        seen.push(id);
        if (id === 7 || id === 70) throw new Error(`no ${id}`);
      } });
      await run.inside(work);
      expect(run.failures[0]).toEqual({ key: expected, error: new Error('no 7') });
      seen.length = 0;
      const retry = testRun({ onlyKeys: run.failures.map((failure) => failure.key) });
      await expect(retry.inside(work)).rejects.toMatchObject({ data: { processed: 2, failed: 2 } });
      expect(seen).toEqual([7, 70]);
    }
  });

  it('resumes a retry of many keys, of which some are gone', async () => {
    const run = testRun({ onlyKeys: Array.from({ length: 60 }, (_, n) => String(n * 2)) });
    const work = () => processInBatches({ query: items(), batchSize: 9, transaction: true, batch: async (rows, trx) => {
      if (rows.some(({ id }) => id === 50)) run.stop();
      await bump(trx, rows);
    } });
    await expect(run.inside(work)).rejects.toThrow('told to stop');
    await testRun({ cursor: await kept(), onlyKeys: Array.from({ length: 60 }, (_, n) => String(n * 2)) }).inside(work);
    await expect(doneByCount()).resolves.toEqual({ 0: 50, 1: 50 });
  });

  it('counts no row twice of a retry that is stopped amid a batch', async () => {
    const run = testRun({ onlyKeys: ['1', '2', '3', '4', '5', '6'] });
    const work = (stopAt: number) => () => processInBatches({ query: items(), batchSize: 4, each: ({ id }) => {
      if (id === stopAt) run.stop();
    } });
    await expect(run.inside(work(5))).rejects.toThrow('told to stop');
    await expect(testRun({ cursor: await kept(), onlyKeys: ['1', '2', '3', '4', '5', '6'] }).inside(work(0))).resolves.toMatchObject({ processed: 6 });
  });

  it('needs one connection for a transaction, so that as many runs as there are connections wait for none', async () => {
    const work = (n: number) => () => processInBatches({ query: items(), key: ['id', 'done'], batchSize: 50, limit: 1 + n, transaction: true, each: () => 0 });
    const results = await Promise.all(Array.from({ length: 30 }, (_, n) => testRun().inside(work(n))));
    expect(results.map(({ processed }) => processed)).toEqual(results.map((_, n) => 1 + n));
  });

  it('tells of no failure of a batch that is rolled back and done again', async () => {
    const run = testRun();
    const work = processInBatches.bind(undefined, { query: items(), batchSize: 10, transaction: true, each: (row: unknown) => {
      const { id } = row as { id: number };
      if (id === 15) throw new Error('no');
      if (id === 17) run.stop();
    } });
    await expect(run.inside(work)).rejects.toThrow('told to stop');
    expect(run.failures).toEqual([]);
  });

  it('keeps the failures of a step inside another one, and leaves the outer one its cursor', async () => {
    const run = testRun();
    await run.inside(() => processInBatches({ query: items(), limit: 2, each: async () => {
      await processInBatches({ query: [1, 2, 3], each: (n) => { if (n === 2) throw new Error('inner'); } });
    } }));
    expect(run.failures.map(({ key }) => key)).toEqual([2, 2]);
    expect(await kept()).toMatchObject({ steps: { 1: { processed: 2 } } });
  });

  it('takes a dry run from the run itself, and records how far it got', async () => {
    const run = testRun({ isDryRun: true });
    const each = jest.fn();
    await expect(run.inside(() => processInBatches({ query: items(), isDryRun: false, transaction: true, limit: 5, each }))).resolves.toMatchObject({ isDryRun: true });
    expect(each.mock.calls[0][1]).toMatchObject({ isDryRun: true });
    expect(await kept()).toMatchObject({ steps: { 1: { processed: 5 } } });
  });

  it('reports how far it is, out of how many, how fast, and for how long yet', async () => {
    const run = testRun();
    await run.inside(() => processInBatches({ query: items().where('id', '>', 20), batchSize: 20, each: () => new Promise((resolve) => setTimeout(resolve, 15)) }));
    const middle = run.reports.find(({ total, processed }) => total !== undefined && processed! < 80)!;
    expect(middle).toMatchObject({ total: 80, failed: 0 });
    expect(middle.rate).toBeGreaterThan(20);
    expect(middle.rate).toBeLessThan(70);
    expect(middle.etaSeconds).toBeGreaterThan(0);
    expect(middle.etaSeconds).toBeLessThan(4);
    expect(run.reports.at(-1)).toMatchObject({ processed: 80, succeeded: 80, failed: 0, total: 80, etaSeconds: 0 });
  });

  describe('of an iterable', () => {
    const work = (isRepeatable: boolean, seen: number[], stop = () => undefined as void) => () =>
      processInBatches({ query: Array.from({ length: 50 }, (_, n) => n + 1), isRepeatable, batchSize: 20, each: (n) => {
        seen.push(n);
        if (n === 33) stop();
        if (n === 5) throw new Error('no');
      } });

    it('passes over what was done when it repeats itself, and otherwise begins again', async () => {
      for (const isRepeatable of [true, false]) {
        const seen: number[] = [];
        const run = testRun();
        await expect(run.inside(work(isRepeatable, seen, run.stop))).rejects.toThrow('told to stop');
        seen.length = 0;
        const result = await testRun({ cursor: await kept() }).inside(work(isRepeatable, seen));
        expect(seen[0]).toBe(isRepeatable ? 34 : 1);
        expect(result.processed).toBe(50);
      }
    });

    it('does in a retry just what failed, by its number', async () => {
      const run = testRun();
      await run.inside(work(false, []));
      expect(run.failures.map(({ key }) => key)).toEqual([5]);
      const seen: number[] = [];
      await expect(testRun({ onlyKeys: [5] }).inside(work(false, seen))).rejects.toThrow('Every item failed: 1 of 1');
      expect(seen).toEqual([5]);
    });
  });
});
