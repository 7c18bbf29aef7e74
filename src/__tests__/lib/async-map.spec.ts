import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { asyncMap } from '@commons/backend/lib/async-map.js';

describe('asyncMap', () => {
  it('gives the results in the order of the items, whichever was done first', async () => {
    await expect(asyncMap([30, 0, 10], (ms, index) => sleep(ms, `${index}:${ms}`), 3)).resolves.toEqual(['0:30', '1:0', '2:10']);
  });

  it('has ten calls going where nobody says how many', async () => {
    let going = 0;
    let most = 0;
    await asyncMap(Array.from({ length: 30 }), async () => {
      most = Math.max(most, ++going);
      await sleep(1);
      going--;
    });
    expect(most).toBe(10);
  });

  it.each<[string, unknown[]]>([
    ['the function first', [async () => 1, [1, 2]]],
    ['no function', [[1, 2]]],
    ['an options object for the number', [[1], async () => 1, { concurrency: 5 }]],
  ])('shows the right call to whoever gives %s', async (_what, args) => {
    await expect((asyncMap as (...all: unknown[]) => Promise<unknown>)(...args)).rejects.toThrow('asyncMap(items, async (item) => {...}, 10)');
  });

  it('has exactly as many calls going as it may, while there are items', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 30 }), fc.integer({ min: 1, max: 8 }), async (delays, concurrency) => {
        let going = 0;
        let most = 0;
        const results = await asyncMap(delays, async (turns) => {
          most = Math.max(most, ++going);
          for (let turn = 0; turn <= turns; turn++) await Promise.resolve();
          going--;
          return turns;
        }, concurrency);
        expect(results).toEqual(delays);
        expect(most).toBe(Math.min(concurrency, delays.length));
      }),
    ));

  it('rejects with the first error, begins no other item, and leaves none going behind', async () => {
    const begun: number[] = [];
    const ended: number[] = [];
    const mapping = asyncMap([0, 1, 2, 3, 4, 5], async (item) => {
      begun.push(item);
      if (item === 1) throw new Error('first');
      await sleep(20);
      ended.push(item);
      if (item === 2) throw new Error('second');
    }, 3);
    await expect(mapping).rejects.toThrow('first');
    expect(begun).toEqual([0, 1, 2]);
    expect(ended).toEqual([0, 2]);
  });

  it('rejects when fn throws at once, too', async () => {
    await expect(asyncMap([1], () => { throw new Error('at once'); }, 2)).rejects.toThrow('at once');
  });

  it('reads the items as calls come free, and closes what it leaves early', async () => {
    let isClosed = false;
    function* endless() {
      try {
        for (let n = 0; ; n++) yield n;
      } finally {
        isClosed = true;
      }
    }
    await expect(asyncMap(endless(), async (n) => { if (n === 5) throw new Error('enough'); }, 2)).rejects.toThrow('enough');
    expect(isClosed).toBe(true);
  });

  it('rejects with what the items throw', async () => {
    function* broken() {
      yield 1;
      throw new Error('broken source');
    }
    await expect(asyncMap(broken(), async (n) => n, 2)).rejects.toThrow('broken source');
  });

  it.each([0, -1, 1.5, NaN])('refuses a concurrency of %p', async (concurrency) => {
    await expect(asyncMap([1], (n) => n, concurrency)).rejects.toThrow(/whole number of at least 1/);
  });
});
