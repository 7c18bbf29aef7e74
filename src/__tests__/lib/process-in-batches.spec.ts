import type { Knex } from 'knex';
import knex from '@commons/backend/lib/knex.js';
import { EveryItemFailed, processInBatches, TooManyFailures } from '@commons/backend/lib/process-in-batches.js';

interface Item {
  id: number;
  name: string;
  done: number;
}

const items = () => knex<Item>('item');

beforeEach(async () => {
  await knex.raw('drop table if exists item; create table item (id int primary key, name text not null, done int not null default 0)');
  await knex.raw(`insert into item select n, 'item ' || n from generate_series(1, 25) n`);
});

const bump = (trx: Knex, rows: readonly { id: number }[]) => trx('item').whereIn('id', rows.map(({ id }) => id)).increment('done');
const doneOnce = async () => Number((await items().where({ done: 1 }).count<{ count: string }[]>('* as count'))[0]!.count);

describe('processInBatches', () => {
  it('hands over every row, with the columns the query selects and no other, and counts them', async () => {
    const seen: { id: number; name: string }[] = [];
    const result = await processInBatches({
      query: items().select('id', 'name'),
      batchSize: 10,
      each: (row) => void seen.push(row),
    });
    expect(result).toEqual({ isDryRun: false, processed: 25, succeeded: 25, failed: 0 });
    expect(seen.map(({ id }) => id)).toEqual(Array.from({ length: 25 }, (_, n) => n + 1));
    expect(seen[0]).toEqual({ id: 1, name: 'item 1' });
  });

  it('knows the type of the row', async () => {
    // Looked at afterwards: what `each` throws counts as a failed row, an assertion too.
    const seen: unknown[] = [];
    await processInBatches({
      query: items().select('id'),
      limit: 1,
      // @ts-expect-error: name was not selected.
      each: ({ id, name }) => void seen.push([id.toFixed(), name]),
    });
    await processInBatches({ query: ['a', 'bc'], each: (text) => void seen.push(text.length) });
    expect(seen).toEqual([['1', undefined], 1, 2]);
    // @ts-expect-error: one of them, not both.
    await expect(processInBatches({ query: [1], each: () => 0, batch: () => 0 })).rejects.toThrow(/either `each` or `batch`/);
  });

  it('selects every column of a query that selects none, and leaves the query as it was', async () => {
    const query = items().where('id', '<', 3);
    const before = query.toQuery();
    const rows: unknown[] = [];
    await processInBatches({ query, each: (row) => void rows.push(row) });
    await processInBatches({ query: () => query, each: (row) => void rows.push(row) });
    expect(rows).toEqual([1, 2, 1, 2].map((id) => ({ id, name: `item ${id}`, done: 0 })));
    expect(query.toQuery()).toBe(before);
  });

  it.each([
    [{ batchSize: 10 }, [10, 10, 5]],
    [{ batchSize: 25 }, [25]],
    [{ batchSize: 10, limit: 12 }, [10, 2]],
    [{ batchSize: 10, limit: 0 }, []],
    [{ limit: 25 }, [25]],
  ])('makes of %j batches of %j', async (options, sizes) => {
    const seen: number[] = [];
    await processInBatches({ query: items(), ...options, batch: (rows) => void seen.push(rows.length) });
    expect(seen).toEqual(sizes);
  });

  it('counts nothing, and calls nothing, where there is no row', async () => {
    const batch = jest.fn();
    for (const transaction of [true, false]) {
      await expect(processInBatches({ query: items().where('id', 0), transaction, batch })).resolves.toMatchObject({ processed: 0 });
    }
    expect(batch).not.toHaveBeenCalled();
  });

  it('goes on after an item that throws', async () => {
    const each = async ({ id }: Item) => {
      if (id % 10 === 0) throw new Error(`no ${id}`);
      await items().where({ id }).increment('done');
    };
    for (const transaction of [false, true]) {
      await items().update({ done: 0 });
      await expect(processInBatches({ query: items(), batchSize: 4, transaction, each })).resolves.toMatchObject({ processed: 25, succeeded: 23, failed: 2 });
      await expect(doneOnce()).resolves.toBe(23);
    }
  });

  it('runs as many items at a time as concurrency says', async () => {
    let going = 0;
    let most = 0;
    await processInBatches({
      query: items(),
      concurrency: 4,
      each: async () => {
        most = Math.max(most, ++going);
        await new Promise(setImmediate);
        going--;
      },
    });
    expect(most).toBe(4);
  });

  it('undoes in a transaction what a failing item or batch wrote, and finds the rows that fail', async () => {
    const result = await processInBatches({
      query: items(),
      batchSize: 10,
      transaction: true,
      batch: async (rows, trx) => {
        await bump(trx, rows);
        if (rows.some(({ id }) => id === 7 || id === 20)) await trx.raw('select 1 / 0');
      },
    });
    expect(result).toMatchObject({ processed: 25, succeeded: 23, failed: 2 });
    await expect(items().where({ done: 0 }).orderBy('id').pluck('id')).resolves.toEqual([7, 20]);
    await expect(doneOnce()).resolves.toBe(23);

    await processInBatches({
      query: items(),
      transaction: true,
      each: async (row, { trx }) => {
        await bump(trx, [row]);
        if (row.id === 3) throw new Error('undo');
      },
    });
    await expect(items().where({ id: 3 }).first('done')).resolves.toEqual({ done: 1 });
  });

  it('counts all rows of a failing batch as failed where there is no transaction, and calls it no second time', async () => {
    let calls = 0;
    const result = await processInBatches({
      query: items(),
      batchSize: 10,
      batch: (rows) => {
        calls++;
        if (rows.some(({ id }) => id === 12)) throw new Error('broken');
      },
    });
    expect(result).toMatchObject({ processed: 25, succeeded: 15, failed: 10 });
    expect(calls).toBe(3);
  });

  it('counts those rows of a batch as failed that it gives to fail(), and keeps what it wrote', async () => {
    const batch = jest.fn(async (rows: readonly { id: number }[], trx, { fail }) => {
      for (const row of rows) if (row.id % 3 === 0) fail(row, 'a multiple of three');
      await trx('item').whereIn('id', rows.map(({ id }) => id)).update({ done: 1 });
    });
    for (const transaction of [true, false]) {
      await knex('item').update({ done: 0 });
      batch.mockClear();
      await expect(processInBatches<{ id: number }>({ query: items(), batchSize: 4, transaction, batch })).resolves.toMatchObject({ processed: 25, succeeded: 17, failed: 8 });
      expect(batch).toHaveBeenCalledTimes(7);
      expect(await knex('item').where({ done: 1 })).toHaveLength(25);
    }
    await expect(processInBatches<object>({ query: items(), stopOnError: true, batch: (_rows, _trx, { fail }) => fail({}, 'a row of another') })).rejects.toThrow(/a row of its batch/);
  });

  it.each([true, false])('ends at the first error with stopOnError, in a transaction: %p', async (transaction) => {
    const each = jest.fn(({ id }: { id: number }) => {
      if (id === 6) throw new Error('item 6');
    });
    await expect(processInBatches<{ id: number }>({ query: items(), batchSize: 4, transaction, stopOnError: true, each })).rejects.toThrow('item 6');
    expect(each).toHaveBeenCalledTimes(6);
  });

  it('commits each batch by itself, and leaves no part of one that could not be committed', async () => {
    await knex.raw(`create table if not exists parent (id int primary key);
      alter table item add column parent int references parent deferrable initially deferred`);
    const work = processInBatches({
      query: items(),
      batchSize: 10,
      transaction: true,
      batch: async (rows, trx) => {
        await bump(trx, rows);
        if (rows.some(({ id }) => id === 15)) await trx('item').where({ id: 15 }).update({ parent: 99 });
      },
    });
    await expect(work).rejects.toMatchObject({ code: '23503' });
    await expect(doneOnce()).resolves.toBe(10);
  });

  describe('in a dry run', () => {
    it('calls the code, says so to it, goes through all rows, and commits nothing', async () => {
      const dry: boolean[] = [];
      const result = await processInBatches({
        query: items(),
        batchSize: 10,
        isDryRun: true,
        batch: (_rows, _trx, { isDryRun }) => void dry.push(isDryRun),
      });
      expect(result).toEqual({ isDryRun: true, processed: 25, succeeded: 25, failed: 0 });
      expect(dry).toEqual([true, true, true]);
    });

    it('ends at the first write in a transaction: that is a fault of the job, not of the row', async () => {
      const batch = jest.fn(async (rows: readonly Item[], trx: Knex) => bump(trx, rows));
      await expect(processInBatches({ query: items(), isDryRun: true, transaction: true, batchSize: 5, batch })).rejects.toMatchObject({ code: '25006' });
      expect(batch).toHaveBeenCalledTimes(1);
      await expect(doneOnce()).resolves.toBe(0);
    });

    it('leaves out the FOR UPDATE that Postgres would refuse', async () => {
      const query = items().forUpdate().skipLocked();
      await expect(processInBatches({ query, isDryRun: true, transaction: true, each: () => 0 })).resolves.toMatchObject({ processed: 25 });
    });
  });

  it('locks by the FOR UPDATE of the query, a batch at a time', async () => {
    await knex.transaction(async (other) => {
      await other('item').where({ id: 2 }).forUpdate();
      const seen: number[] = [];
      await processInBatches({ query: items().forUpdate().skipLocked(), transaction: true, batchSize: 10, each: ({ id }) => void seen.push(id) });
      expect(seen).toEqual([1, ...Array.from({ length: 23 }, (_, n) => n + 3)]);
    });
  });

  describe('maxFailures', () => {
    const failing = (which: (id: number) => boolean) => ({ id }: { id: number }) => {
      if (which(id)) throw new Error('no');
    };

    it.each([
      [0, 1, 1],
      [2, 3, 3],
    ])('of %p lets no more than that many fail', async (maxFailures, failed, processed) => {
      const work = processInBatches({ query: items(), maxFailures, each: failing(() => true) });
      await expect(work).rejects.toThrow(TooManyFailures);
      const message = expect.stringContaining(`${failed} of ${processed} failed`);
      await expect(work).rejects.toMatchObject({ status: 500, message, data: { message, processed, succeeded: 0, failed } });
    });

    it('lets through as many as it says', async () => {
      await expect(processInBatches({ query: items(), maxFailures: 3, each: failing((id) => id < 4) })).resolves.toMatchObject({ failed: 3 });
    });

    it('as a share is looked at from 100 rows on', async () => {
      const query = Array.from({ length: 1_000 }, (_, id) => ({ id }));
      const some = processInBatches({ query, batchSize: 7, maxFailures: '5%', each: failing((id) => id < 6) });
      await expect(some).rejects.toMatchObject({ data: { processed: 100, succeeded: 94, failed: 6 } });
      await expect(processInBatches({ query, maxFailures: '5%', each: failing((id) => id < 5) })).resolves.toMatchObject({ failed: 5 });
    });

    it('as a share is looked at at the end of fewer rows, too', async () => {
      await expect(processInBatches({ query: items(), maxFailures: '5%', each: failing((id) => id < 3) })).rejects.toMatchObject({ data: { processed: 25, succeeded: 23, failed: 2 } });
    });

    it('keeps of the batch in which it stops nothing, in a transaction', async () => {
      const work = processInBatches({
        query: items(),
        batchSize: 10,
        transaction: true,
        maxFailures: 0,
        each: async (row, { trx }) => {
          await bump(trx, [row]);
          if (row.id === 15) throw new Error('no');
        },
      });
      await expect(work).rejects.toThrow(TooManyFailures);
      await expect(doneOnce()).resolves.toBe(10);
    });

    it.each([-1, 1.5, NaN, '5' as '5%', '200%' as const])('refuses %p', async (maxFailures) => {
      await expect(processInBatches({ query: [], maxFailures, each: () => 0 })).rejects.toThrow(/maxFailures is/);
    });
  });

  describe('where every item failed', () => {
    const fails = () => {
      throw new Error('S3cret');
    };
    const counts = { processed: 25, succeeded: 0, failed: 25 };

    it.each<[string, object]>([
      ['each', { each: fails }],
      ['each in a transaction', { each: fails, transaction: true }],
      ['batch', { batch: fails }],
      ['batch in a transaction', { batch: fails, transaction: true }],
      ['a batch that gives all its rows to fail()', { batch: (rows: Item[], _trx: Knex, { fail }: { fail: (row: Item, reason: string) => void }) => rows.forEach((row) => fail(row, 'S3cret')) }],
      ['each in a dry run', { each: fails, transaction: true, isDryRun: true }],
      ['each, and more may fail than did', { each: fails, maxFailures: 100 }],
      ['each, and almost all may fail', { each: fails, maxFailures: '99.9%' }],
    ])('fails at the end, and says how many and not why, of %s', async (what, options) => {
      const work = processInBatches<Item>({ query: items(), batchSize: 10, ...options } as never);
      await expect(work).rejects.toThrow(TooManyFailures);
      const error = (await work.catch((thrown: unknown) => thrown)) as EveryItemFailed;
      if (!what.includes('almost')) expect(error).toBeInstanceOf(EveryItemFailed);
      expect(error).toMatchObject({ status: 500, message: expect.stringMatching(/25/), data: { ...counts, message: error.message } });
      expect(JSON.stringify(error.data)).not.toContain('S3cret');
    });

    it.each([Infinity, '100%' as const])('leaves the verdict to the job with maxFailures: %p', async (maxFailures) => {
      await expect(processInBatches({ query: items(), maxFailures, each: fails })).resolves.toEqual({ isDryRun: false, ...counts });
    });

    it('fails neither without a row, nor where one succeeded', async () => {
      await expect(processInBatches({ query: items().where('id', 0), each: fails })).resolves.toMatchObject({ processed: 0 });
      await expect(processInBatches({ query: items(), each: ({ id }) => (id === 25 ? 0 : fails()) })).resolves.toMatchObject({ succeeded: 1, failed: 24 });
    });
  });

  describe('of an iterable', () => {
    async function* lines(closed: () => void = () => undefined) {
      try {
        for (let n = 1; n <= 25; n++) yield `line ${n}`;
      } finally {
        closed();
      }
    }

    it('hands over every item once', async () => {
      const seen: string[] = [];
      const result = await processInBatches({ query: lines(), batchSize: 10, batch: (rows) => void seen.push(...rows) });
      expect(result).toEqual({ isDryRun: false, processed: 25, succeeded: 25, failed: 0 });
      expect(seen).toHaveLength(25);
    });

    it('closes it when it stops early', async () => {
      const closed = jest.fn();
      await processInBatches({ query: () => lines(closed), batchSize: 10, limit: 3, each: () => 0 });
      expect(closed).toHaveBeenCalledTimes(1);
    });

    it('throws what the iterable throws', async () => {
      async function* broken() {
        yield 1;
        throw new Error('broken source');
      }
      await expect(processInBatches({ query: broken(), each: () => 0 })).rejects.toThrow('broken source');
    });
  });

  it.each([
    [{ query: [], batchSize: 0 }, /batchSize is 0/],
    [{ query: [], limit: -1 }, /limit is -1/],
    [{ query: [], concurrency: 0 }, /concurrency is 0/],
    [{ query: [], concurrency: 2, transaction: true }, /either concurrency or transaction/],
    [{ query: [], key: [] }, undefined],
    [{ query: (async () => []) as never }, /not an async one/],
    [{ query: () => items().orderBy('id') }, /no order of its own/],
    [{ query: () => items().limit(1) }, /no limit of its own/],
    [{ query: () => items().offset(1) }, /no offset/],
    [{ query: () => items().first() as never }, /made for "first"/],
    [{ query: () => items().select('id').union(items().select('id')) }, /no union/],
  ])('refuses %j', async (options, message) => {
    await expect(processInBatches<unknown>({ each: () => 0, ...options })).rejects.toThrow(message ?? 'key must name');
  });
});
