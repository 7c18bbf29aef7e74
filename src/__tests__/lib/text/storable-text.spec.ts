import { toUSVString } from 'node:util';
import fc from 'fast-check';
import { toStorableText } from '@commons/backend/lib/text/storable-text.js';

describe('toStorableText', () => {
  it('gives the very same text where there is nothing to mend', () => {
    expect(toStorableText('plain, é, 😀', 100)).toBe('plain, é, 😀');
  });

  it('replaces NUL and lone surrogates, and keeps pairs', () => {
    expect(toStorableText('a\0b\ud83dc\ude00😀', 100)).toBe('a\uFFFDb\uFFFDc\uFFFD😀');
  });

  it('cuts a long text in the middle and says how many bytes there were', () => {
    expect(toStorableText(`${'a'.repeat(500)}the end`, 60)).toBe('aaaaaaaaaaaaaaaaa […507 bytes in all…] aaaaaaaaaathe end');
  });

  it('is always clean and within the limit, whatever it is given', () => {
    const pieces = fc.array(fc.constantFrom('\0', '\ud83d', '\ude00', 'é', 'a', '😀', '€', '\n'), { maxLength: 300 });
    fc.assert(fc.property(pieces.map((each) => each.join('')), fc.integer({ min: 0, max: 200 }), (text, most) => {
      const stored = toStorableText(text, most);
      expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(most);
      expect(toUSVString(stored)).toBe(stored);
      expect(stored).not.toContain('\0');
    }), { numRuns: 1_000 });
  });

  it('never cuts inside a character', () => {
    for (let most = 40; most < 60; most++) expect(toStorableText('😀'.repeat(100), most)).toMatch(/^(😀)* \[…400 bytes in all…\] (😀)*$/u);
  });
});
