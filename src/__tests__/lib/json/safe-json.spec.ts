import fc from 'fast-check';
import { toSafeJson } from '@commons/backend/lib/json/safe-json.js';
import { anything, HOSTILE } from '../../helpers/hostile.js';

const shown = (value: unknown): unknown => JSON.parse(toSafeJson(value) ?? 'null');

describe('toSafeJson', () => {
  it('gives small JSON for anything at all, and never throws', () => {
    fc.assert(fc.property(anything(), (make) => {
      const value = make();
      const text = toSafeJson(value);
      expect(text === undefined).toBe(value === undefined);
      if (text !== undefined) JSON.parse(text);
      expect((text ?? '').length).toBeLessThan(100_000);
    }));
  });

  it.each(Object.entries(HOSTILE))('shows %s without throwing, beside what is well', (_, make) => {
    expect(shown({ bad: make(), good: 1 })).toHaveProperty('good', 1);
  });

  it('leaves plain data as it is', () => {
    const value = fc.jsonValue({ maxDepth: 5, stringUnit: 'grapheme' });
    fc.assert(fc.property(value, (each) => expect(toSafeJson(each)).toBe(JSON.stringify(each))), { numRuns: 50 });
  });

  it('gives undefined for undefined only', () => {
    expect(toSafeJson(undefined)).toBeUndefined();
    expect([null, () => 1, Symbol('s'), NaN].map((value) => toSafeJson(value))).toEqual(['null', '"[Function]"', '"Symbol(s)"', '"NaN"']);
  });

  it('shows what JSON does not know', () => {
    const value = { big: 10n, map: new Map([['a', new Set([1])]]), at: new Date(0), bytes: Buffer.from('abc'), more: new Float64Array(2), box: Object('x') };
    expect(shown(value)).toEqual({ big: '10', map: [['a', [1]]], at: '1970-01-01T00:00:00.000Z', bytes: '[3 bytes]', more: '[16 bytes]', box: 'x' });
  });

  it('shows of an Error its name, message, own fields, stack, cause and parts', () => {
    const error = Object.assign(new AggregateError([new Error('part')], 'whole', { cause: 'why' }), { status: 418 });
    expect(shown(error)).toEqual({
      name: 'AggregateError', message: 'whole', status: 418, stack: expect.stringContaining('safe-json.spec'), cause: 'why',
      errors: [expect.objectContaining({ message: 'part' })],
    });
  });

  it('never shows the fields in which Postgres quotes the values of a row', () => {
    const error = Object.assign(new Error('duplicate key'), {
      severity: 'ERROR', code: '23505', constraint: 'person_email_key', detail: 'Key (email)=(ann@example.org) already exists.', where: 'ann', hint: 'ann', internalQuery: 'ann',
    });
    expect(toSafeJson({ error })).not.toContain('ann');
    expect(shown(error)).toMatchObject({ code: '23505', constraint: 'person_email_key' });
  });

  it('shows no value whose name says that it is a secret', () => {
    const value = { password: 'x1', headers: { Authorization: 'x2', 'set-cookie': ['x3'], 'X-Api-Key': 'x4' }, clientSecret: 'x5', access_token: 'x6', apiToken: 'x7' };
    expect(toSafeJson(value)).not.toMatch(/x\d/);
    expect(shown({ tokens: 3, password: null, secret: false })).toEqual({ tokens: 3, password: null, secret: false });
  });

  it.each([
    'newPassword', 'dbPassword', 'DB_PASSWORD', 'oldpasswd', 'secretAccessKey', 'AWS_SECRET_ACCESS_KEY', 'sessionToken', 'x-amz-security-token',
    'apiKey', 'apikey', 'API_KEYS', 'X-API-Key', 'googleApiKey', 'Authorization', 'proxy-authorization', 'cookies', 'ssn', 'patientSSN', 'ssnLast4', 'credentials', 'accessTokens',
  ])('hides %s', (name) => {
    expect(shown({ [name]: 'x1' })).toEqual({ [name]: '[Secret]' });
  });

  it('hides a number that is a secret', () => {
    expect(shown({ ssn: 123_456_789, password: 1_234 })).toEqual({ ssn: '[Secret]', password: '[Secret]' });
  });

  it('shows what is only about a secret, or sounds like one', () => {
    const value = {
      tokenCount: 5, maxTokens: 100, tokens: 3, tokenType: 'Bearer', passwordUpdatedAt: '2026-01-01', secretary: 'Ann', tokenizer: 'gpt', hasPassword: true, key: 'k', primaryKey: 'id',
      monkey: 'm', author: 'a', session: 's', lessness: 'l', compass: 'c',
    };
    expect(shown(value)).toEqual(value);
  });

  it('takes users and passwords out of addresses', () => {
    expect(shown({ databaseUrl: 'postgres://me:hush@host:5432/db', note: 'two: redis://:p@ss@h/0, https://example.org:80/a@b' })).toEqual({
      databaseUrl: 'postgres://[Secret]@host:5432/db', note: 'two: redis://[Secret]@h/0, https://example.org:80/a@b',
    });
  });

  it('never shows a value that Postgres quotes in a message or a stack', () => {
    const error = Object.assign(new Error('invalid input syntax for type integer: "John Smith"'), { name: 'error', severity: 'ERROR', code: '22P02' });
    expect(toSafeJson(error)).not.toContain('John');
    expect(shown(error)).toMatchObject({ message: 'invalid input syntax for type integer: "[Value]"', stack: expect.stringMatching(/^error: invalid [^]+\n {4}at /) });
  });

  it('marks a circle, and keeps what is merely referred to twice', () => {
    const shared = { y: 1 };
    const value: Record<string, unknown> = { a: shared, b: shared };
    value.self = value;
    expect(shown(value)).toEqual({ a: { y: 1 }, b: { y: 1 }, self: '[Circular]' });
  });

  it('ends deep nesting with a note', () => {
    let deep: unknown = 'bottom';
    for (let level = 0; level < 100_000; level++) deep = { deep };
    expect(toSafeJson(deep)).toMatch(/^(\{"deep":){11}"\[Nested deeper\]"\}{11}$/);
  });

  it('cuts what is long, and says how much there was', () => {
    expect(shown({ text: 'x'.repeat(100_000) })).toEqual({ text: expect.stringContaining('[…100000 bytes in all…]') });
    const numbers = shown(Array.from({ length: 5_000 }, (_, n) => n)) as unknown[];
    expect(numbers).toHaveLength(2_001);
    expect(numbers.at(-1)).toBe('[3000 more]');
    const fields = shown(Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`field${n}`, n])));
    expect(fields).toHaveProperty(['[...]'], '[3000 more]');
  });

  it('replaces NUL and lone surrogates, in names too', () => {
    expect(shown({ 'a\0': 'b\ud800' })).toEqual({ 'a\uFFFD': 'b\uFFFD' });
  });

  it('keeps a field named __proto__ a field', () => {
    expect(toSafeJson(JSON.parse('{"__proto__":{"a":1}}'))).toBe('{"__proto__":{"a":1}}');
  });
});
