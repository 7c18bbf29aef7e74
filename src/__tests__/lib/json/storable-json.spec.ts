import { toUSVString } from 'node:util';
import fc from 'fast-check';
import { toStorableJson } from '@commons/backend/lib/json/storable-json.js';

const BIG = 1_000_000;
const isClean = (text: string) => toUSVString(text) === text && !text.includes('\0');

/** Every string inside a value, keys too. */
const stringsOf = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => [key, ...stringsOf(member)]);
};

/** The inside of a JSON string, made of whole escapes and characters. */
const escapes = ['\\u0000', '\\ud83d', '\\ude00', '\\uD83D\\uDE00', '\\uDBFF', '\\\\', '\\"', '\\n', '\\/', '\\u0041', 'u0000', 'ud83d', 'a', 'é', '😀'];
const inside = (pieces: readonly string[]) => fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join(''));

describe('toStorableJson', () => {
  it('leaves clean JSON as it is', () => {
    fc.assert(fc.property(fc.json({ stringUnit: 'grapheme' }), (text) => expect(toStorableJson(text, BIG)).toBe(text)));
  });

  it('gives JSON without NUL and lone surrogates, whatever strings there were', () => {
    const strings = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
    const bad = fc.constantFrom('\0', '\ud83d', '\ude00', '\\', '\\u0000', '😀');
    const value = fc.dictionary(fc.oneof(strings, bad), fc.array(fc.oneof(strings, bad, fc.integer())));
    fc.assert(fc.property(value, (data) => {
      const stored = toStorableJson(JSON.stringify(data), BIG);
      expect(isClean(stored)).toBe(true);
      expect(stringsOf(JSON.parse(stored)).every(isClean)).toBe(true);
    }));
  });

  it('replaces just what is refused, and never mistakes an escaped backslash', () => {
    fc.assert(fc.property(inside(escapes), (text) => {
      const before: string = JSON.parse(`"${text}"`);
      expect(JSON.parse(toStorableJson(`"${text}"`, BIG))).toBe(toUSVString(before).replaceAll('\0', '\uFFFD'));
    }), { numRuns: 1_000 });
  });

  it('replaces them raw as well as escaped, and a pair made of one raw and one escaped half', () => {
    fc.assert(fc.property(inside([...escapes, '\ud83d', '\ude00', '\0']), (text) => {
      const stored = toStorableJson(`"${text}"`, BIG);
      expect(isClean(stored) && isClean(JSON.parse(stored))).toBe(true);
    }), { numRuns: 1_000 });
  });

  it('keeps "\\\\u0000", a backslash and five characters', () => {
    expect(toStorableJson('"\\\\u0000 \\\\\\u0000"', BIG)).toBe('"\\\\u0000 \\\\\\ufffd"');
  });

  it('makes a note of a text that is too big, with its size and its beginning', () => {
    const text = JSON.stringify(['é'.repeat(5_000)]);
    expect(toStorableJson(text, 10_004)).toBe(text);
    const note = JSON.parse(toStorableJson(text, 10_003));
    expect(note).toEqual({ truncated: true, bytes: 10_004, head: expect.stringMatching(/^\["é{1000,}$/) });
  });

  it('keeps every note within the limit, and valid', () => {
    const text = fc.string({ unit: 'binary', minLength: 100, maxLength: 5_000 }).map((each) => JSON.stringify(each));
    fc.assert(fc.property(text, fc.integer({ min: 60, max: 3_000 }), (json, most) => {
      const stored = toStorableJson(json, most);
      JSON.parse(stored);
      expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(most);
    }));
  });

  it('takes nesting up to 1,000 levels, and makes a note of what is deeper', () => {
    const nested = (depth: number) => '[{"a":'.repeat(depth / 2) + '0' + '}]'.repeat(depth / 2);
    expect(toStorableJson(nested(1_000), BIG)).toBe(nested(1_000));
    expect(JSON.parse(toStorableJson(nested(1_002), BIG))).toEqual({ tooDeep: true, bytes: nested(1_002).length });
  });

  it('counts no brackets inside strings', () => {
    const text = JSON.stringify({ a: '['.repeat(3_000), b: '\\"{'.repeat(3_000), c: '\\' });
    expect(toStorableJson(text, BIG)).toBe(text);
  });
});
