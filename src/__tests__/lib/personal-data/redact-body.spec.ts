import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { z } from 'zod';
import type { JSONData } from '@commons/backend/jobs/helpers.js';
import { keyedHash } from '@commons/backend/lib/personal-data/keyed-hash.js';
import { redactBody } from '@commons/backend/lib/personal-data/redact-body.js';
import { createScrubber } from '@commons/backend/lib/personal-data/scrubber.js';
import { openBody, parseBodyKeys, sealBody } from '@commons/backend/lib/personal-data/sealed-body.js';

const KEY = 'a redaction key of the tests';
const pii = <T extends z.ZodType>(schema: T) => schema.meta({ pii: true });
const bodyOf = (body: JSONData, schema?: z.ZodType) => redactBody(body, schema, KEY)?.body;
const hash = (value: unknown) => keyedHash(value, KEY);

describe('redactBody', () => {
  const phone = pii(z.string());

  it.each<[string, z.ZodType, JSONData, JSONData]>([
    ['a field', z.object({ phone, n: z.number() }), { phone: '555-0100', n: 1 }, { phone: hash('555-0100'), n: 1 }],
    ['one that is optional, with a default, nullable', z.object({ phone: phone.optional().default('x').nullable() }), { phone: '555-0100' }, { phone: hash('555-0100') }],
    ['one that is checked further after it was marked', z.object({ phone: phone.min(3).max(20) }), { phone: '555-0100' }, { phone: hash('555-0100') }],
    ['one that is transformed', z.object({ phone: phone.transform((text) => text.trim()) }), { phone: '555-0100' }, { phone: hash('555-0100') }],
    ['one deep down', z.object({ a: z.array(z.object({ b: z.object({ phone }) })) }), { a: [{ b: { phone: '1' } }, { b: { phone: '2' } }] }, { a: [{ b: { phone: hash('1') } }, { b: { phone: hash('2') } }] }],
    ['a whole object', z.object({ patient: pii(z.object({ name: z.string() })) }), { patient: { name: 'Ada' } }, { patient: hash({ name: 'Ada' }) }],
    ['the items of an array', z.object({ phones: z.array(phone) }), { phones: ['1', '2'] }, { phones: [hash('1'), hash('2')] }],
    ['an item of a tuple', z.tuple([z.number(), phone], z.string()), [1, '555-0100', 'rest'], [1, hash('555-0100'), 'rest']],
    ['a record, values', z.record(z.string(), phone), { a: '1' }, { a: hash('1') }],
    ['a record, keys', z.record(phone, z.number()), { '555-0100': 1 }, { [hash('555-0100')]: 1 }],
    ['one kind of several', z.discriminatedUnion('kind', [z.object({ kind: z.literal('a'), who: phone }), z.object({ kind: z.literal('b'), who: z.string() })]), { kind: 'a', who: '1' }, { kind: 'a', who: hash('1') }],
    ['either side of an intersection', z.intersection(z.object({ a: phone }), z.object({ b: phone })), { a: '1', b: '2' }, { a: hash('1'), b: hash('2') }],
    ['what an object takes beyond its fields', z.object({}).catchall(phone), { more: '1' }, { more: hash('1') }],
    ['a body that is no object', phone, '555-0100', hash('555-0100')],
    ['a body that does not fit', z.object({ phone: pii(z.string().min(100)) }), { phone: 5_550_100, odd: true }, { phone: hash(5_550_100), odd: true }],
    ['one that refers to itself', recursive(), { name: 'a', children: [{ name: 'b', children: [] }] }, { name: hash('a'), children: [{ name: hash('b'), children: [] }] }],
  ])('leaves a hash of %s', (_, schema, body, expected) => {
    expect(bodyOf(body, schema)).toEqual(expected);
  });

  function recursive(): z.ZodType {
    const node: z.ZodType = z.object({ name: phone, get children() { return z.array(node); } });
    return node;
  }

  it('leaves nothing of a secret', () => {
    const schema = z.object({ pin: z.string().meta({ secret: true }), list: z.array(z.string().meta({ secret: true })), id: z.number() });
    const redacted = redactBody({ pin: '1234', list: ['x1y2'], id: 7 }, schema, KEY);
    expect(redacted).toEqual({ body: { list: [null], id: 7 }, values: ['1234', 'x1y2'] });
  });

  it.each(['password', 'apiKey', 'authorization', 'SSN', 'session_token', 'clientSecret'])('takes out %s without being asked, with or without a schema', (name) => {
    expect(bodyOf({ [name]: 'hunter2', n: { [name]: ['deep'] } })).toEqual({ [name]: '[Secret]', n: { [name]: '[Secret]' } });
    expect(bodyOf({ [name]: 'hunter2' }, z.object({}))).toEqual({ [name]: '[Secret]' });
  });

  it('leaves a body alone that has nothing of the kind', () => {
    expect(redactBody({ batchSize: 5, tokenCount: 3, names: ['a'] }, z.object({ batchSize: z.number() }), KEY)).toBeUndefined();
  });

  it('leaves a word without a key, since a hash that everybody can make can be undone by trying', () => {
    expect(redactBody({ phone: '555-0100' }, z.object({ phone }), undefined)?.body).toEqual({ phone: '[Personal]' });
  });

  it('gives the same value the same hash, and another key another', () => {
    expect(hash('Ada')).toBe(hash(' Ada '));
    expect(hash('Ada')).toMatch(/^pii:[0-9a-f]{32}$/);
    expect(keyedHash('Ada', 'another key')).not.toBe(hash('Ada'));
  });

  it('takes out every value that is marked, whatever the body', () => {
    const schema = z.object({ known: pii(z.any()), list: z.array(z.object({ inner: pii(z.any()) })) });
    fc.assert(fc.property(fc.string({ minLength: 8, unit: 'grapheme-ascii' }), fc.jsonValue(), (canary, other) => {
      const value = `canary-${canary}`;
      const text = JSON.stringify(bodyOf({ known: { deep: [value] }, list: [{ inner: value }, { inner: other as JSONData }] }, schema));
      expect(text).not.toContain(JSON.stringify(value).slice(1, -1));
    }));
  });
});

describe('createScrubber', () => {
  it('takes values out of texts, whatever their case, the longest first', () => {
    const scrubber = createScrubber(['Ada', 'Ada Lovelace', '555-0100'])!;
    expect(scrubber.text('called ADA LOVELACE at 555-0100, then ada')).toBe('called [Personal] at [Personal], then [Personal]');
  });

  it('takes a short value out only where it stands alone', () => {
    expect(createScrubber(['Ada'])!.text('Adaptation in Canada; Ada, (ada)')).toBe('Adaptation in Canada; [Personal], ([Personal])');
  });

  it('leaves JSON that is JSON, without values in it, in texts, numbers and names', () => {
    const scrubber = createScrubber(['5550100', 'say "hi"\n', 'a.b*c+d'])!;
    const text = scrubber.json(JSON.stringify({ n: 5_550_100, t: 'x say "hi"\n y', list: ['a.b*c+d'], 'a.b*c+d': 1, other: 55 }));
    expect(JSON.parse(text)).toEqual({ n: '[Personal]', t: 'x [Personal]\n y', list: ['[Personal]'], '[Personal]': 1, other: 55 });
  });

  it('finds whatever value it was given, in whatever it is put', () => {
    fc.assert(fc.property(fc.string({ minLength: 8, maxLength: 1_200 }).filter((text) => text.trim().length >= 8), fc.string(), (value, around) => {
      const scrubbed = createScrubber([value])!.json(JSON.stringify({ a: [`${around}${value}${around}`] }));
      expect((JSON.parse(scrubbed) as { a: string[] }).a[0]).not.toContain(value.trim());
    }));
  });

  it('is none where nothing could be found', () => {
    expect(createScrubber(['', 'a', '  b '])).toBeUndefined();
  });

  it('takes thousands of values in its stride', () => {
    const values = Array.from({ length: 4_000 }, (_, n) => `patient-${n}@example.com`);
    const scrubber = createScrubber(values)!;
    const since = performance.now();
    for (let n = 0; n < 1_000; n++) expect(scrubber.text(`line ${n} of patient-${n}@example.com and some more text that holds nothing`)).toContain('of [Personal] and');
    expect(performance.now() - since).toBeLessThan(20_000);
  });
});

describe('a sealed body', () => {
  const keyText = () => randomBytes(32).toString('base64');
  const keys = parseBodyKeys(keyText());
  const RUN = '01900000-0000-7000-8000-000000000000';

  it('opens for its run, and is another each time', () => {
    const [one, two] = [sealBody('{"phone":"555-0100"}', RUN, keys), sealBody('{"phone":"555-0100"}', RUN, keys)];
    expect(openBody(one, RUN, keys)).toBe('{"phone":"555-0100"}');
    expect(one.equals(two)).toBe(false);
    expect(one.toString('latin1')).not.toContain('555-0100');
  });

  it('does not open for another run, with another key, or when a byte of it was changed', () => {
    const sealed = sealBody('{}', RUN, keys);
    expect(openBody(sealed, RUN.replace('7000', '7001'), keys)).toBeUndefined();
    expect(openBody(sealed, RUN, parseBodyKeys(keyText()))).toBeUndefined();
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      expect(openBody(changed, RUN, keys)).toBeUndefined();
    }
    expect(openBody(Buffer.alloc(0), RUN, keys)).toBeUndefined();
  });

  it('opens with an older key that is still in the list', () => {
    const [older, newer] = [keyText(), keyText()];
    const sealed = sealBody('{}', RUN, parseBodyKeys(older));
    expect(openBody(sealed, RUN, parseBodyKeys(`${newer}, ${older}`))).toBe('{}');
  });

  it.each(['short', keyText().slice(2), `${keyText()},`])('takes no key that is none, and does not repeat it', (text) => {
    expect(() => parseBodyKeys(text)).toThrow(/it is no key/);
    expect(() => parseBodyKeys(text)).not.toThrow(text);
  });
});
