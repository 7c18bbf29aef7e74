import vm from 'node:vm';
import fc from 'fast-check';
import { TooDeepError, toJson } from '@commons/backend/lib/json/json.js';

const parsed = (value: unknown): unknown => JSON.parse(toJson(value).text ?? 'null');

describe('toJson', () => {
  it('writes plain data just as JSON.stringify does', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => expect(toJson(value)).toEqual({ text: JSON.stringify(value), circular: false })));
  });

  it('writes plain data the same when something beside it needs care', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => expect(toJson([1n, value]).text).toBe(`["1",${JSON.stringify(value)}]`)));
  });

  it('writes valid JSON for anything that does not throw', () => {
    const anything = fc.anything({
      withBigInt: true, withBoxedValues: true, withDate: true, withMap: true, withNullPrototype: true, withSet: true, withSparseArray: true, withTypedArray: true,
    });
    fc.assert(fc.property(anything, (value) => {
      const { text } = toJson(value);
      if (text !== undefined) JSON.parse(text);
    }));
  });

  it('gives no text for undefined, a function and a symbol', () => {
    for (const value of [undefined, () => 1, Symbol('s')]) expect(toJson(value)).toEqual({ text: undefined, circular: false });
  });

  it('leaves such values out of objects, and makes them null in arrays', () => {
    expect(toJson({ a: undefined, b: () => 1, c: Symbol('s'), d: 1n }).text).toBe('{"d":"1"}');
    expect(toJson([undefined, () => 1, Symbol('s'), 1n]).text).toBe('[null,null,null,"1"]');
  });

  it('writes a BigInt as a decimal string', () => {
    expect(parsed({ a: 2n ** 64n, b: Object(5n) })).toEqual({ a: '18446744073709551616', b: '5' });
  });

  it('writes a Date as ISO text, and one that is invalid as null', () => {
    expect(parsed({ at: new Date(0), never: new Date(NaN), n: 1n })).toEqual({ at: '1970-01-01T00:00:00.000Z', never: null, n: '1' });
  });

  it('writes a Map as its entries and a Set as its values, whatever is in them', () => {
    expect(parsed(new Map<unknown, unknown>([['a', 1], [{ b: 2n }, new Set([NaN])]]))).toEqual([['a', 1], [{ b: '2' }, [null]]]);
    expect(parsed(new Set())).toEqual([]);
  });

  it('writes NaN and the infinities as null', () => {
    expect(parsed([NaN, Infinity, -Infinity])).toEqual([null, null, null]);
  });

  it('writes of an Error its name and its message, and nothing else it carries', () => {
    const error = Object.assign(new TypeError('no good'), { detail: 'Key (email)=(a@b)', toJSON: () => ({ headers: 'secret' }) });
    expect(parsed({ errors: [error] })).toEqual({ errors: [{ name: 'TypeError', message: 'no good' }] });
  });

  it('knows Maps, Sets and Errors of another realm', () => {
    const foreign: unknown = vm.runInNewContext('({ map: new Map([[1, 2]]), set: new Set([3]), error: new RangeError("x") })');
    expect(parsed(foreign)).toEqual({ map: [[1, 2]], set: [3], error: { name: 'RangeError', message: 'x' } });
  });

  it('marks a circle where it closes, and says that there was one', () => {
    const value: Record<string, unknown> = { x: 1 };
    value.self = value;
    value.map = new Map([['back', value]]);
    const { text, circular } = toJson(value);
    expect(JSON.parse(text!)).toEqual({ x: 1, self: '[Circular]', map: [['back', '[Circular]']] });
    expect(circular).toBe(true);
  });

  it('keeps what is merely referred to twice', () => {
    const shared = { y: 1 };
    expect(toJson({ a: shared, b: [shared, shared], n: 1n })).toEqual({ text: '{"a":{"y":1},"b":[{"y":1},{"y":1}],"n":"1"}', circular: false });
  });

  it('asks a toJSON once, with the key, and takes care of what it gives', () => {
    const value = { toJSON: (key: string) => ({ key, big: 1n }) };
    expect(parsed({ a: value, b: [value] })).toEqual({ a: { key: 'a', big: '1' }, b: [{ key: '0', big: '1' }] });
  });

  it('keeps a field named __proto__ a field', () => {
    expect(toJson([JSON.parse('{"__proto__":{"a":1}}'), 1n]).text).toBe('[{"__proto__":{"a":1}},"1"]');
  });

  it('throws what a getter, a toJSON or a Proxy throws', () => {
    const fault = new Error('mine');
    const fail = () => {
      throw fault;
    };
    expect(() => toJson({ get a() { return fail(); } })).toThrow(fault);
    expect(() => toJson({ a: { toJSON: fail } })).toThrow(fault);
    expect(() => toJson(new Proxy({}, { ownKeys: fail }))).toThrow(fault);
  });

  it('writes nesting that JSON.stringify has not the stack for', () => {
    const nested = (depth: number) => {
      let value: unknown = 1;
      for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value };
      return value;
    };
    expect(toJson(nested(10_000)).text).toHaveLength(5_000 * '{"a":}'.length + 5_000 * '[]'.length + 1);
    expect(() => toJson(nested(10_001))).toThrow(TooDeepError);
  });

  it('ends at a value that has no end', () => {
    const endless = (): object => ({
      get next() {
        return endless();
      },
    });
    expect(() => toJson(endless())).toThrow('nested more than 10000 deep');
  });
});
