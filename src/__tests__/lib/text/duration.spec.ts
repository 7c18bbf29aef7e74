import fc from 'fast-check';
import { parseDuration } from '@commons/backend/lib/text/duration.js';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['15m', 900_000],
    ['2h', 7_200_000],
    ['1.5s', 1_500],
    ['7d', 604_800_000],
    [' 1s ', 1_000],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '90', 's', '0s', '-1s', '1 s', '1w', '25d', '1e3s', '90S', 'soon'])('refuses %p and says what is allowed', (text) => {
    expect(() => parseDuration(text)).toThrow(/is not a duration: write a number and ms, s, m, h or d/);
  });

  it('gives what a timer can wait, or throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const ms = parseDuration(text);
          return Number.isInteger(ms) && ms > 0 && ms < 2 ** 31;
        } catch (error) {
          return error instanceof RangeError;
        }
      }),
    );
  });
});
