import fc from 'fast-check';
import { type Place, ValueFinder } from '@commons/backend/lib/personal-data/find-values.js';

const SHORT = 6;
const isAlone = (text: string, from: number, to: number) => !/[\p{L}\p{N}]/u.test(text.slice(0, from).at(-1) ?? '') && !/[\p{L}\p{N}]/u.test(text[to] ?? '');

/** Each value at each place, and then what overlaps put together: as plainly as can be. */
function plainly(values: readonly string[], text: string): Place[] {
  const found: Place[] = [];
  for (const value of values) {
    for (let from = text.indexOf(value); from >= 0; from = text.indexOf(value, from + 1)) {
      const to = from + value.length;
      if (value.length >= SHORT || isAlone(text, from, to)) found.push({ from, to });
    }
  }
  found.sort((a, b) => a.from - b.from || b.to - a.to);
  const joined: Place[] = [];
  for (const place of found) {
    const last = joined.at(-1);
    if (last && place.from < last.to) joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, place.to) };
    else joined.push(place);
  }
  return joined;
}

/** Of few characters, so that values begin, end and overlap alike. */
const text = (least: number, most: number) => fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '-', '\0', '\uffff', '病'), minLength: least, maxLength: most });

describe('ValueFinder', () => {
  it('finds what a search for each value finds, whatever the values and the text', () => {
    fc.assert(
      fc.property(fc.uniqueArray(text(1, 12), { minLength: 1, maxLength: 12 }), text(0, 80), text(0, 80), (values, before, after) => {
        const finder = new ValueFinder(new Set(values), SHORT);
        for (const each of [before, `${before}${values.join('')}${after}`, values.toReversed().join(' '), before]) expect(finder.placesIn(each)).toEqual(plainly(values, each));
      }),
      { numRuns: 2_000 },
    );
  });

  it('leaves nothing of two values that overlap', () => {
    expect(new ValueFinder(new Set(['ada love', 'lovelace']), SHORT).placesIn('to ada lovelace')).toEqual([{ from: 3, to: 15 }]);
  });

  it('holds ten thousand values of 500 characters in little memory, and finds each', () => {
    const values = Array.from({ length: 10_000 }, (_, n) => `${n}-${'x'.repeat(490)}-${n}`);
    const before = process.memoryUsage().arrayBuffers;
    const finder = new ValueFinder(new Set(values), SHORT);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000);
    for (const at of [0, 4_999, 9_999]) expect(finder.placesIn(`a ${values[at]} b`)).toEqual([{ from: 2, to: 2 + values[at]!.length }]);
  });
});
