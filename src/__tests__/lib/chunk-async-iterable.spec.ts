import fc from 'fast-check';
import { chunkAsyncIterable } from '@commons/backend/lib/chunk-async-iterable.js';

async function* from<T>(items: Iterable<T>, onClose = () => undefined as void) {
  try {
    yield* items;
  } finally {
    onClose();
  }
}

describe('chunkAsyncIterable', () => {
  it('gives every item once, in order, in arrays of the size but for the last', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat()), fc.integer({ min: 1, max: 7 }), fc.boolean(), async (items, size, isAsync) => {
        const chunks: number[][] = [];
        for await (const chunk of chunkAsyncIterable(isAsync ? from(items) : items, size)) chunks.push(chunk);
        expect(chunks.flat()).toEqual(items);
        expect(chunks.slice(0, -1).every(({ length }) => length === size)).toBe(true);
        expect(chunks.every(({ length }) => length > 0)).toBe(true);
      }),
    ));

  it('reads no further ahead than the array it is asked for, and closes what it leaves early', async () => {
    let read = 0;
    let isClosed = false;
    function* endless() {
      for (;;) yield ++read;
    }
    for await (const chunk of chunkAsyncIterable(from(endless(), () => void (isClosed = true)), 3)) {
      expect(chunk).toEqual([1, 2, 3]);
      break;
    }
    expect(read).toBe(3);
    expect(isClosed).toBe(true);
  });

  it('throws what the iterable throws', async () => {
    async function* broken() {
      yield 1;
      throw new Error('broken source');
    }
    await expect(chunkAsyncIterable(broken(), 2).next()).rejects.toThrow('broken source');
  });

  it.each([0, -1, 1.5, NaN])('refuses a size of %p at once', (size) => {
    expect(() => chunkAsyncIterable([1], size)).toThrow(/whole number of at least 1/);
  });
});
