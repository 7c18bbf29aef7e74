import fc from 'fast-check';
import { parseJson } from '@commons/backend/lib/json/parse-json.js';

const nested = (levels: number, open = '[', close = ']') => open.repeat(levels) + (open === '[' ? '' : '1') + close.repeat(levels);

describe('parseJson', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        if (/__proto__/.test(text)) return;
        expect(parseJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses bad JSON without quoting it', () => {
    expect(() => parseJson('{"ssn": "078-05-1120"')).toThrow('The body is not valid JSON.');
    expect(() => parseJson('{"ssn": "078-05-1120"')).not.toThrow(/078/);
  });

  it('takes 100 levels, of arrays and of objects, and refuses 101', () => {
    expect(parseJson(nested(100))).toBeDefined();
    expect(parseJson(nested(100, '{"a":', '}'))).toBeDefined();
    expect(() => parseJson(nested(101))).toThrow(/nested more than 100 levels/);
    expect(() => parseJson(nested(101, '{"a":', '}'))).toThrow(/nested more than 100 levels/);
    expect(() => parseJson(`{"a": ${nested(50_000)}}`)).toThrow(/nested more than 100 levels/);
  });

  it.each([
    '{"__proto__": {"isAdmin": true}}',
    '{"a": [{"__proto__": 1}]}',
    '{"constructor": {"prototype": {"isAdmin": true}}}',
    '{"\\u005f_proto__": {"isAdmin": true}}',
  ])('refuses %s', (text) => {
    expect(() => parseJson(text)).toThrow(/a key that is not allowed/);
  });

  it('takes the same words where they harm nobody', () => {
    expect(parseJson('{"constructor": "Mies", "note": "__proto__"}')).toEqual({ constructor: 'Mies', note: '__proto__' });
  });
});
