import fc from 'fast-check';
import { atMost } from '@commons/backend/lib/process/at-most.js';

it('does no more than so many pieces of work at once, all of them, in the order they came, whatever they throw', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.record({ turns: fc.nat(3), throws: fc.boolean() }), { maxLength: 30 }), async (count, pieces) => {
      const limited = atMost(count);
      const begun: number[] = [];
      let going = 0;
      let most = 0;
      const ends = await Promise.allSettled(pieces.map(({ turns, throws }, at) => limited(async () => {
        begun.push(at);
        most = Math.max(most, ++going);
        for (let turn = 0; turn <= turns; turn++) await Promise.resolve();
        going--;
        if (throws) throw new Error('no');
        return at;
      })));
      expect(begun).toEqual(pieces.map((_piece, at) => at));
      expect(most).toBeLessThanOrEqual(count);
      if (pieces.length >= count) expect(most).toBe(count);
      expect(ends.map(({ status }) => status)).toEqual(pieces.map(({ throws }) => (throws ? 'rejected' : 'fulfilled')));
    }),
    { numRuns: 100 },
  );
});
