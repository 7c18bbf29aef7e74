import fc from 'fast-check';
import type { Knex } from 'knex';
import knex from '@commons/backend/lib/knex.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';

const wait = fc.integer({ min: 0, max: 999_999 });
const two = (n: number) => String(n).padStart(2, '0');

/** Moments that differ by microseconds, about the turn of a year and a change of the clocks. */
const timestamp = fc
  .tuple(fc.constantFrom('2026-11-01 01', '2026-12-31 23', '1969-12-31 23', '0001-01-01 00'), fc.nat(59), wait)
  .map(([hour, minute, micros]) => `${hour}:${two(minute)}:00.${String(micros).padStart(6, '0')}`);

/** Letters of several alphabets and cases, accents, white space, quotes, digits, an emoji. */
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'aAbBzZäÄöéß ñ-_\'"\\?:%$1029\n\t,(){}'.split(''), '😀', 'ﬁ', '\u0301'), maxLength: 6 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }).map((value) => value.replaceAll('\0', '')),
);

/** A type, and values of it as Postgres takes them. */
const TYPES: Record<string, fc.Arbitrary<string>> = {
  int: fc.integer().map(String),
  bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  'bigint next to one another': fc.bigInt({ min: 2n ** 53n, max: 2n ** 53n + 40n }).map(String),
  'numeric(30,10)': fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map((n) => `${n}e-10`),
  float8: fc.oneof(fc.double({ noNaN: true }).map((n) => String(n === 0 ? 0 : n)), fc.constantFrom('NaN', 'Infinity', '-Infinity')),
  text,
  'text collate "C"': text,
  'text collate "de-x-icu"': text,
  'varchar(10) collate "sv-x-icu"': text,
  'character(3)': fc.string({ unit: fc.constantFrom(...'abcäß'.split('')), minLength: 1, maxLength: 3 }),
  uuid: fc.uuid(),
  timestamp,
  timestamptz: timestamp,
  'timestamptz(6)': fc.oneof(timestamp, fc.constantFrom('infinity', '-infinity', '0044-03-15 12:00:00.000001 BC')),
  date: fc.oneof(fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }).map((day) => day.toISOString().slice(0, 10)), fc.constant('infinity')),
  bytea: fc.uint8Array({ maxLength: 4 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
  'bit(3)': fc.constantFrom('000', '001', '010', '101', '111'),
  mood: fc.constantFrom('sad', 'ok', 'Very "happy"'),
  'int[]': fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 3 }).map((list) => `{${list.join(',')}}`),
  inet: fc.ipV4(),
};

const typeOf = (name: string) => name.replace(/ next to.*/, '');

/** A table `walked` of these columns and `n`, in which every key is there once. */
async function fill(types: readonly string[], keys: readonly (readonly string[])[]): Promise<number> {
  const list = (write: (at: number) => string) => types.map((_, at) => write(at)).join(', ');
  const columns = list((at) => `k${at}`);
  await knex.raw(`drop table if exists walked; create table walked (n serial, ${list((at) => `k${at} ${typeOf(types[at]!)}`)})`);
  await knex.raw(`create unique index on walked (${columns})`);
  const cast = list((at) => `v${at}::${typeOf(types[at]!).replace(/ collate.*/, '')}`);
  const { rows } = await knex.raw<{ rows: unknown[] }>(
    `insert into walked (${columns}) select ${cast} from unnest(${list(() => '?::text[]')}) as v (${list((at) => `v${at}`)})
     on conflict do nothing returning n`,
    types.map((_, at) => keys.map((key) => key[at]!)),
  );
  return rows.length;
}

async function walk(options: { key: string[]; batchSize: number; transaction?: boolean }): Promise<number[]> {
  const seen: number[] = [];
  await processInBatches<{ n: number }>({ query: knex('walked').select('n'), ...options, batch: (rows) => void seen.push(...rows.map(({ n }) => n)) });
  return seen;
}

const inOrder = (columns: readonly string[]): Promise<number[]> => knex('walked').orderBy([...columns]).pluck('n');

describe('processInBatches walks along a key', () => {
  beforeAll(() => knex.raw(`create type mood as enum ('sad', 'ok', 'Very "happy"'); set time zone 'America/New_York'`));

  it.each(Object.keys(TYPES))('of %s: every row once, in the order of the key', (type) =>
    fc.assert(
      fc.asyncProperty(fc.array(TYPES[type]!, { maxLength: 25 }), fc.integer({ min: 1, max: 6 }), async (values, batchSize) => {
        const count = await fill([type], values.map((value) => [value]));
        const seen = await walk({ key: ['k0'], batchSize });
        expect(seen).toEqual(await inOrder(['k0']));
        expect(seen).toHaveLength(count);
      }),
      { numRuns: 15 },
    ));

  it('of two or three columns of any of these types', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(TYPES)), { minLength: 2, maxLength: 3 }).chain((types) =>
          fc.tuple(
            fc.constant(types),
            // Few values a column, so that the first one often does not decide.
            fc.tuple(...types.map((type) => fc.array(TYPES[type]!, { minLength: 1, maxLength: 4 }))).map((lists) =>
              lists.reduce<string[][]>((keys, list) => keys.flatMap((key) => list.map((value) => [...key, value])), [[]]),
            ),
          ),
        ),
        fc.integer({ min: 1, max: 7 }),
        async ([types, keys], batchSize) => {
          const count = await fill(types, keys);
          const key = types.map((_, at) => `k${at}`);
          const seen = await walk({ key, batchSize });
          expect(seen).toEqual(await inOrder(key));
          expect(seen).toHaveLength(count);
        },
      ),
      { numRuns: 30 },
    ));

  it('while rows are inserted and deleted, without an end or a repeat, and passes over none that was there all the time', () =>
    fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 40 }),
        fc.array(fc.record({ insert: fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 5 }), remove: fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 5 }) })),
        fc.integer({ min: 1, max: 6 }),
        fc.boolean(),
        async (start, changes, batchSize, transaction) => {
          await fill(['int'], start.map((value) => [String(value)]));
          const seen: number[] = [];
          const removed = new Set<number>();
          await processInBatches<{ k0: number }>({
            query: knex('walked').select('k0'),
            key: 'k0',
            batchSize,
            transaction,
            batch: async (rows) => {
              seen.push(...rows.map(({ k0 }) => k0));
              const { insert, remove } = changes.shift() ?? { insert: [], remove: [] };
              for (const k0 of remove) removed.add(k0);
              await knex('walked').whereIn('k0', remove).delete();
              if (insert.length > 0) await knex('walked').insert([...insert, 1_000 + seen.length].map((k0) => ({ k0 }))).onConflict().ignore();
            },
          });
          expect(new Set(seen).size).toBe(seen.length);
          expect(seen).toEqual(seen.toSorted((a, b) => a - b));
          const stayed = start.filter((value) => !removed.has(value));
          expect(stayed.filter((value) => !seen.includes(value))).toEqual([]);
        },
      ),
      { numRuns: 40 },
    ));

  it('comes to an end where the work inserts behind it, and leaves what it inserted to another run', async () => {
    await fill(['int'], Array.from({ length: 10 }, (_, n) => [String(n)]));
    let next = 10;
    const result = await processInBatches<{ k0: number }>({ query: knex('walked'), key: 'k0', batchSize: 3, each: () => knex('walked').insert({ k0: next++ }) });
    expect(result.processed).toBe(10);
  });

  it('to the end where every row fails, and in a dry run', async () => {
    await fill(['int'], Array.from({ length: 10 }, (_, n) => [String(n)]));
    const query = knex('walked').where('n', '>', 0);
    await expect(processInBatches({ query, key: 'k0', batchSize: 3, each: () => Promise.reject(new Error('no')) })).rejects.toMatchObject({ data: { processed: 10, failed: 10 } });
    await expect(processInBatches({ query, key: 'k0', batchSize: 3, isDryRun: true, each: () => 0 })).resolves.toMatchObject({ processed: 10 });
  });

  describe('and refuses', () => {
    const count = (key: string | string[], batchSize = 2, query: () => Knex.QueryBuilder = () => knex('walked')) => {
      const batch = jest.fn();
      return { batch, work: processInBatches<object>({ query, key, batchSize, batch }) };
    };

    it.each([
      ['k0', ['k0']],
      ['k1', ['k0', 'k1']],
      ['k0', ['k0', 'k1']],
    ])('a null in %s of the key %j, before it does anything', async (column, key) => {
      await fill(['int', 'int'], [['1', '1'], ['1', '2'], ['1', '3'], ['2', '1']]);
      await knex('walked').where({ k0: 1, k1: 3 }).update({ [column]: null });
      const { work, batch } = count(key);
      await expect(work).rejects.toThrow(/has a null in its key \(k0.*leave such rows out/);
      expect(batch).not.toHaveBeenCalled();
      if (column === 'k0') return;
      await expect(count(key, 2, () => knex('walked').whereNotNull('k1')).work).resolves.toMatchObject({ processed: 3 });
    });

    it.each([1, 2, 3, 4])('two rows of the same key, wherever a batch of %d ends', async (batchSize) => {
      await fill(['int', 'int'], [['1', '1'], ['2', '1'], ['2', '2'], ['3', '1']]);
      await expect(count('k0', batchSize).work).rejects.toThrow(/Two rows have the same key \(k0\).*Add a column/);
      await expect(count(['k0', 'k1'], batchSize).work).resolves.toMatchObject({ processed: 4 });
    });

    it('a null anywhere in a key of two columns, before it does anything', () =>
      fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.nat(11), fc.constantFrom('k0', 'k1'), fc.integer({ min: 1, max: 5 }), async (rows, place, column, batchSize) => {
          await fill(['int', 'text'], Array.from({ length: rows }, (_, n) => [String(n >> 1), String(n)]));
          await knex('walked').where({ n: (place % rows) + 1 }).update({ [column]: null });
          const { work, batch } = count(['k0', 'k1'], batchSize);
          await expect(work).rejects.toThrow(/has a null in its key \(k0, k1\)/);
          expect(batch).not.toHaveBeenCalled();
        }),
        { numRuns: 25 },
      ));

    it('two rows of the same composite key, wherever they are, having passed over none before them', () =>
      fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 14 }), fc.nat(13), fc.integer({ min: 1, max: 5 }), async (rows, place, batchSize) => {
          await fill(['int', 'int'], Array.from({ length: rows }, (_, n) => [String(n % 3), String(n)]));
          await knex.raw('drop index walked_k0_k1_idx');
          const twice = await knex('walked').where({ n: (place % rows) + 1 }).first('k0', 'k1');
          await knex('walked').insert(twice);
          const before = await knex('walked').whereRaw('(k0, k1) < (?, ?)', [twice.k0, twice.k1]).orderBy(['k0', 'k1']).pluck('n');
          const { work, batch } = count(['k0', 'k1'], batchSize);
          await expect(work).rejects.toThrow(/Two rows have the same key \(k0, k1\)/);
          const seen = batch.mock.calls.flatMap(([each]: [{ n: number }[]]) => each.map(({ n }) => n));
          expect(seen).toEqual(before.slice(0, seen.length));
          expect(before.length - seen.length).toBeLessThanOrEqual(batchSize);
        }),
        { numRuns: 25 },
      ));

    it('a column that does not exist', async () => {
      await expect(count('none').work).rejects.toThrow(/column.*none.*does not exist/);
    });
  });

  describe('of queries such as', () => {
    beforeEach(async () => {
      await fill(['int', 'text'], Array.from({ length: 12 }, (_, n) => [String(n), n % 2 ? `B${n}` : `a${n}`]));
    });

    const keysOf = async (query: () => Knex.QueryBuilder, key: string, column = 'k0') => {
      const seen: unknown[] = [];
      await processInBatches<Record<string, unknown>>({ query, key, batchSize: 3, each: (row) => void seen.push(row[column]) });
      return seen;
    };
    const all = Array.from({ length: 12 }, (_, n) => n);

    it('one with `or`, which holds for every batch', async () => {
      await expect(keysOf(() => knex('walked').where('k0', '<', 5).orWhere({ k0: 9 }), 'k0')).resolves.toEqual([0, 1, 2, 3, 4, 9]);
    });

    it('a join, by a qualified key', async () => {
      const query = () => knex('walked as a').join('walked as b', 'a.n', 'b.n').select('b.k0');
      await expect(keysOf(query, 'a.k0')).resolves.toEqual(all);
    });

    it('one with aliases, a schema or a table of its own', async () => {
      await expect(keysOf(() => knex('walked as w').select('w.*'), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex({ w: 'walked' }), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex('public.walked'), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex('walked').withSchema('public'), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex.from(knex('walked').where('k0', '>', 2).as('part')), 'k0')).resolves.toEqual(all.slice(3));
      await expect(keysOf(() => knex.with('part', knex('walked')).from('part'), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex.from(knex.raw('walked')), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex('walked').distinct('k0'), 'k0')).resolves.toEqual(all);
      await expect(keysOf(() => knex('walked').select('k0').groupBy('k0'), 'k0')).resolves.toEqual(all);
    });

    it('one that selects something else by the name of the key', async () => {
      const query = () => knex('walked').select(knex.raw('-k0 as k0'), 'k1');
      await expect(keysOf(query, 'k0')).resolves.toEqual(all.map((n) => 0 - n));
    });

    it('one whose key has a name that must be quoted', async () => {
      await knex.raw('alter table walked rename k0 to "Odd ""Key"""');
      await expect(keysOf(() => knex('walked'), 'Odd "Key"', 'Odd "Key"')).resolves.toEqual(all);
    });
  });
});
