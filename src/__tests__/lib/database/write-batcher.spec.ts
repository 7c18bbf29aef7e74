import { setTimeout as delay } from 'node:timers/promises';
import { WriteBatcher } from '@commons/backend/lib/database/write-batcher.js';
import { waitUntil } from '../../helpers/wait-until.js';

const fault = (code: string) => Object.assign(new Error(`fault ${code}`), { code });

/** A write that can be held up and made to fail. */
function controlled(behave: (items: readonly number[]) => void = () => undefined) {
  const batches: number[][] = [];
  let release: (() => void) | undefined;
  let gate = Promise.resolve();
  const batcher = new WriteBatcher<number, number>({
    maxBatch: 10,
    async write(items) {
      batches.push([...items]);
      await gate;
      behave(items);
      return items.map((n) => n * 2);
    },
  });
  return {
    batcher,
    batches,
    hold: () => {
      gate = new Promise((resolve) => (release = resolve));
    },
    letGo: () => release?.(),
  };
}

describe('WriteBatcher', () => {
  it('writes a lone item at once and resolves with its result', async () => {
    const { batcher, batches } = controlled();
    await expect(batcher.add(1, 1_000)).resolves.toBe(2);
    expect(batches).toEqual([[1]]);
  });

  it('gathers what comes in one turn of the event loop, and while a statement is in flight, in order', async () => {
    const { batcher, batches, hold, letGo } = controlled();
    hold();
    const first = [1, 2].map((n) => batcher.add(n, 1_000));
    await waitUntil('the first is in flight', () => batches.length === 1);
    const second = [3, 4].map((n) => batcher.add(n, 1_000));
    letGo();
    await expect(Promise.all([...first, ...second])).resolves.toEqual([2, 4, 6, 8]);
    expect(batches).toEqual([[1, 2], [3, 4]]);
  });

  it('puts no more than maxBatch items into one statement', async () => {
    const { batcher, batches, hold, letGo } = controlled();
    hold();
    const all = Array.from({ length: 25 }, (_, n) => batcher.add(n, 1_000));
    letGo();
    await Promise.all(all);
    expect(batches.map((batch) => batch.length)).toEqual([10, 10, 5]);
  });

  it('puts no more than maxBytes into one statement, and what is bigger goes alone', async () => {
    const batches: number[][] = [];
    const batcher = new WriteBatcher<number, number>({
      bytesOf: (n) => n,
      maxBytes: 100,
      async write(items) {
        batches.push([...items]);
        return items;
      },
    });
    await expect(Promise.all([40, 50, 20, 500, 60, 40].map((n) => batcher.add(n, 1_000)))).resolves.toEqual([40, 50, 20, 500, 60, 40]);
    expect(batches).toEqual([[40, 50], [20], [500], [60, 40]]);
  });

  it('does not let one bad row fail its neighbours', async () => {
    const { batcher, hold, letGo } = controlled((items) => {
      if (items.includes(3)) throw fault('22P02');
    });
    hold();
    const all = [1, 2, 3, 4].map((n) => batcher.add(n, 1_000));
    letGo();
    const settled = await Promise.allSettled(all);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });

  it('tries again after a fault that may pass', async () => {
    let failures = 3;
    const { batcher } = controlled(() => {
      if (failures-- > 0) throw fault('57P01');
    });
    await expect(batcher.add(1, 10_000)).resolves.toBe(2);
  });

  it('rejects with the fault once the item has waited as long as it may, and serves the next one', async () => {
    let isDown = true;
    const { batcher } = controlled(() => {
      if (isDown) throw fault('ECONNREFUSED');
    });
    await expect(batcher.add(1, 100)).rejects.toThrow('fault ECONNREFUSED');
    isDown = false;
    await expect(batcher.add(2, 100)).resolves.toBe(4);
  });

  it('rejects at once with a fault that will not pass', async () => {
    const { batcher, batches } = controlled(() => {
      throw fault('42P01');
    });
    await expect(batcher.add(1, 60_000)).rejects.toThrow('fault 42P01');
    expect(batches).toHaveLength(1);
  });
});

describe('rows that others hold locked', () => {
  const locked = () => Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' });

  it('are given up at their deadline, without one more try each that the rows behind them would wait for', async () => {
    let tries = 0;
    const batcher = new WriteBatcher<number, number>({
      async write(items) {
        tries++;
        await delay(60);
        if (items.some((item) => item < 20)) throw locked();
        return [...items];
      },
    });
    const ends = Promise.allSettled(Array.from({ length: 20 }, (_, item) => batcher.add(item, 50)));
    await expect(batcher.add(99, 60_000)).resolves.toBe(99);
    expect((await ends).map(({ status }) => status)).toEqual(Array(20).fill('rejected'));
    expect(tries).toBe(2);
  });

  it('keep neither those that went with them nor those that come later waiting', async () => {
    let isFree = false;
    const batcher = new WriteBatcher<number, number>({
      async write(items) {
        await delay(20);
        if (!isFree && items.some((item) => item < 20)) throw locked();
        return [...items];
      },
    });
    const ends = Promise.all(Array.from({ length: 20 }, (_, item) => batcher.add(item, 60_000)));
    const neighbour = batcher.add(50, 60_000);
    await expect(neighbour).resolves.toBe(50);
    // While those are still locked.
    for (let later = 100; later < 105; later++) await expect(batcher.add(later, 60_000)).resolves.toBe(later);
    isFree = true;
    await expect(ends).resolves.toEqual(Array.from({ length: 20 }, (_, item) => item));
  });

  it('are tried by themselves two at a time: other statements need connections too', async () => {
    let going = 0;
    let most = 0;
    const batchers = Array.from({ length: 6 }, () => {
      let isFirst = true;
      return new WriteBatcher<number, number>({
        async write(items) {
          if (isFirst) {
            isFirst = false;
            throw locked();
          }
          most = Math.max(most, ++going);
          await delay(500);
          going--;
          return [...items];
        },
      });
    });
    await expect(Promise.all(batchers.map((batcher, at) => batcher.add(at, 60_000)))).resolves.toEqual([0, 1, 2, 3, 4, 5]);
    expect(most).toBe(2);
  });
});
