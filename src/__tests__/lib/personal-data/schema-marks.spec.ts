import fc from 'fast-check';
import { z } from 'zod';
import * as mini from 'zod/mini';
import { z as zod3 } from 'zod/v3';
import type { JSONData } from '@commons/backend/jobs/helpers.js';
import { keyedHash } from '@commons/backend/lib/personal-data/keyed-hash.js';
import { checkMarks } from '@commons/backend/lib/personal-data/mark-faults.js';
import { redactBody } from '@commons/backend/lib/personal-data/redact-body.js';
import { MOST_SCHEMAS } from '@commons/backend/lib/personal-data/schema-graph.js';

const KEY = 'a redaction key of the tests';
const pii = <T extends z.ZodType>(schema: T): T => schema.meta({ pii: true }) as T;
const storedOf = (body: JSONData, schema: z.ZodType) => JSON.stringify((redactBody(body, schema, KEY) ?? { body }).body);
const faultOf = (schema: z.ZodType): string | undefined => {
  try {
    checkMarks(schema);
    return undefined;
  } catch (fault) {
    return (fault as Error).message;
  }
};

describe('a mark on a schema that is built on', () => {
  const Patient = pii(z.object({ id: z.number(), name: z.string() }));
  const Phones = pii(z.array(z.string()));
  const body = { id: 7, name: 'canary', more: 'canary' };

  it.each<[string, z.ZodType, JSONData]>([
    ['extend', Patient.extend({ more: z.string() }), body],
    ['extend, twice', Patient.extend({ more: z.string() }).extend({ other: z.string().optional() }), body],
    ['safeExtend', Patient.safeExtend({ more: z.string() }), body],
    ['pick', Patient.pick({ name: true }), body],
    ['omit', Patient.omit({ id: true }), body],
    ['partial', Patient.partial(), body],
    ['exactPartial', Patient.exactPartial(), body],
    ['required', Patient.required(), body],
    ['strict', Patient.strict(), body],
    ['loose', Patient.loose(), body],
    ['strip', Patient.strip(), body],
    ['catchall', Patient.catchall(z.string()), body],
    ['merge, of the one', Patient.merge(z.object({ more: z.string() })), body],
    ['merge, of the other', z.object({ more: z.string() }).merge(Patient), body],
    ['merge, of the other, and then extend', z.object({ more: z.string() }).merge(Patient).extend({ other: z.string().optional() }), body],
    ['refine', Patient.refine(() => true), body],
    ['check', Patient.check(() => undefined), body],
    ['overwrite', Patient.overwrite((value) => value), body],
    ['and', Patient.and(z.object({ more: z.string() })), body],
    ['or', Patient.or(z.string()), body],
    ['describe', Patient.describe('a patient'), body],
    ['further meta', Patient.meta({ title: 'a patient' }), body],
    ['brand, readonly, optional, nullable, default, catch', Patient.brand('x').readonly().optional().nullable().default(null).catch(null), body],
    ['partial of what is extended after a description', Patient.describe('x').extend({ more: z.string() }).partial(), body],
    ['a second registration, which forgets the first', Patient.meta({ pii: true }).register(z.globalRegistry, { description: 'x' }), body],
    ['core clone', z.clone(Patient, { ...Patient._zod.def }), body],
    ['zod/mini extend', mini.extend(Patient, { more: z.string() }) as unknown as z.ZodType, body],
    ['zod/mini', mini.object({ name: mini.string().check(mini.meta({ pii: true })), id: mini.number() }) as unknown as z.ZodType, { id: 7, name: 'canary' }],
    ['z.meta as a check, and then extend', z.object({ name: z.string() }).check(z.meta({ pii: true })).safeExtend({ more: z.string() }), body],
    ['z.meta as a check of an array, its element', z.object({ list: z.array(z.array(z.string()).check(z.meta({ pii: true })).element) }), { list: ['canary'] }],
    ['shape, by a field', z.object({ fullName: Patient.shape.name }), { fullName: 'canary' }],
    ['shape, spread', z.object({ ...Patient.shape, n: z.number().optional() }), { id: 7, name: 'canary' }],
    ['shape, checked further and optional', z.object({ name: Patient.shape.name.min(3).optional() }), { name: 'canary' }],
    ['element', z.object({ phone: Phones.element }), { phone: 'canary' }],
    ['unwrap of an array', z.object({ phone: Phones.unwrap() as z.ZodType }), { phone: 'canary' }],
    ['unwrap of an optional', z.object({ phone: pii(z.string().optional()).unwrap() }), { phone: 'canary' }],
    ['removeDefault', z.object({ phone: pii(z.string().default('x')).removeDefault() }), { phone: 'canary' }],
    ['exclude of an enum', z.object({ state: pii(z.enum(['canary', 'b', 'c'])).exclude(['b']) }), { state: 'canary' }],
    ['an option of a union', z.object({ it: pii(z.union([z.string(), z.number()])).options[0] }), { it: 'canary' }],
    ['rest of a tuple', pii(z.tuple([z.string()])).rest(z.string()), ['canary', 'canary']],
    ['partial of a tuple', pii(z.tuple([z.string()])).partial(), ['canary']],
    ['the values of a record', z.object({ one: pii(z.record(z.string(), z.string())).valueType }), { one: 'canary' }],
    ['a mark that is no true', z.object({ name: z.string().meta({ pii: 'yes' }) }), { name: 'canary' }],
    ['a part of a template literal', z.object({ call: z.templateLiteral(['tel:', pii(z.string())]) }), { call: 'tel:canary' }],
    ['a checked property', z.object({ name: z.string() }).check(z.property('name', pii(z.string()))), { name: 'canary' }],
    ['a misspelt field of a strict object', z.strictObject({ name: pii(z.string()) }), { nmae: 'canary' }],
    ['the side of a preprocess', z.object({ name: z.preprocess(String, pii(z.string())) }), { name: 'canary' }],
    ['both sides of a codec', z.object({ at: z.codec(z.string(), pii(z.number()), { decode: Number, encode: String }) }), { at: 'canary' }],
  ])('is kept through %s', (_, schema, given) => {
    checkMarks(schema);
    expect(storedOf(given, schema)).not.toContain('canary');
  });

  it('is kept through secret too, in whatever order it was said', () => {
    const Login = z.object({ pin: z.string() }).meta({ secret: true });
    expect(redactBody({ login: { pin: 'canary', more: 1 }, n: 1 }, z.object({ login: Login.extend({ more: z.number() }), n: z.number() }), KEY)?.body).toEqual({ n: 1 });
    expect(redactBody({ a: { pin: 'canary' } }, z.object({ a: Patient.merge(Login) }), KEY)?.body).toEqual({});
  });

  it('is taken back by pii: false, for that schema, and not for what had no part in it', () => {
    const Ids = Patient.pick({ id: true }).meta({ pii: false });
    expect(storedOf({ a: { id: 7 } }, z.object({ a: Ids }))).toBe('{"a":{"id":7}}');
    expect(storedOf({ id: 7 }, z.object({ id: Patient.shape.id.meta({ pii: false }) }))).toBe('{"id":7}');
    expect(storedOf({ id: 7, name: 'canary' }, Patient)).not.toContain('canary');
  });

  it('is none on the schema that was marked nowhere itself, and none on what is built of that', () => {
    const Address = z.object({ city: z.string() });
    const schema = z.object({ home: pii(Address), clinic: Address, other: Address.extend({ zip: z.string() }) });
    expect(redactBody({ home: { city: 'a' }, clinic: { city: 'b' }, other: { city: 'c', zip: '1' } }, schema, KEY)?.body)
      .toEqual({ home: keyedHash({ city: 'a' }, KEY), clinic: { city: 'b' }, other: { city: 'c', zip: '1' } });
  });

  it('changes nothing of what the schema does', () => {
    const Both = Patient.extend({ more: z.string().default('x') }).partial({ name: true }).strict();
    expect(Both.parse({ id: 1 })).toEqual({ id: 1, more: 'x' });
    expect(Both.safeParse({ id: 1, odd: 1 }).success).toBe(false);
    expect(z.toJSONSchema(Both, { io: 'input' })).toMatchObject({ properties: { id: {}, name: {}, more: {} }, required: ['id'] });
    expect(Patient.shape.name.parse('a')).toBe('a');
    expect(Object.keys(Patient.shape)).toEqual(['id', 'name']);
    expect(Patient).toBeInstanceOf(z.ZodObject);
    expect(Both).toBeInstanceOf(z.ZodObject);
  });
});

describe('a mark on what a transform makes', () => {
  const rename = (given: z.ZodType, made: z.ZodType) => given.transform((value) => value as unknown).pipe(made);
  const email = z.object({ email: pii(z.string()) });

  it.each<[string, z.ZodType, RegExp]>([
    ['a field', rename(z.object({ mail: z.string() }), email), /^its RequestBody marks email in what a transform makes .* mail would be stored in clear\. Mark on the input side, by \.meta\(\{ pii: true \}\)/],
    ['a field, deep down', z.object({ to: z.array(rename(z.object({ mail: z.string() }), email)) }), /\(at to\[\]\) marks email .* mail would be/],
    ['a field that goes up', rename(z.object({ person: z.object({ mail: z.string() }) }), z.object({ email: pii(z.string()), person: z.object({}) })), / marks email .* person\.mail would be/],
    ['a field that goes down', rename(z.object({ mail: z.string(), n: z.number() }), z.object({ person: email, n: z.number() })), / marks person .*\. mail would be/],
    ['one of two', rename(z.object({ contact: pii(z.string()), mail: z.string() }), z.object({ tel: pii(z.string()), email: pii(z.string()) })), / marks tel, email .*\. mail would be/],
    ['a list', rename(z.object({ a: z.string() }), z.array(pii(z.string()))), / marks \[\] .*\. a would be/],
    ['what else an object takes', rename(z.looseObject({ id: z.number() }), z.object({ id: z.number(), email: pii(z.string()) })), /\. \* would be/],
    ['a record', rename(z.record(z.string(), z.string()), email), / marks email .*\. \*, \(the names\) would be/],
    ['an item', rename(z.tuple([z.number(), z.string()]), email), / marks email .*\. \[0\], \[1\] would be/],
    ['a codec', z.codec(z.object({ mail: z.string() }), email, { decode: ({ mail }) => ({ email: mail }), encode: (made) => ({ mail: made.email }) }), / marks email .*\. mail would be/],
    ['a text within', rename(z.object({ json: z.string() }), email), / marks email .*\. json would be/],
    ['a lazy', z.lazy(() => rename(z.object({ mail: z.string() }), email)), /\. mail would be/],
  ])('is refused where it is on %s that has another name in the body', (_, schema, message) => {
    expect(faultOf(schema)).toMatch(message);
  });

  it.each<[string, z.ZodType, JSONData]>([
    ['the input side is marked too', rename(z.object({ mail: pii(z.string()), n: z.number(), isDryRun: z.boolean() }), z.object({ email: pii(z.string()), n: z.number() })), { mail: 'canary', n: 1 }],
    ['one becomes two', rename(z.object({ name: pii(z.string()) }), z.object({ first: pii(z.string()), last: pii(z.string()) })), { name: 'canary' }],
    ['the name is the same', rename(z.object({ email: z.string(), other: z.string() }), z.object({ email: pii(z.string()), renamed: z.string() })), { email: 'canary', other: 'x' }],
    ['all that is made is marked', rename(z.object({ mail: z.string() }), pii(z.object({ email: z.string() }))), { mail: 'canary' }],
    ['the whole is marked', pii(rename(z.object({ mail: z.string() }), email)), { mail: 'canary' }],
    ['it stands in what is marked', z.object({ all: pii(z.object({ it: rename(z.object({ mail: z.string() }), email) })) }), { all: { it: { mail: 'canary' } } }],
    ['the rest is said not to be personal', rename(z.object({ mail: pii(z.string()), shop: z.string().meta({ pii: false }) }), z.object({ email: pii(z.string()), place: z.string() })), { mail: 'canary', shop: 'x' }],
    ['it is made of a text', rename(z.string(), email), '{"email":"canary"}'],
    ['it is made of anything', rename(z.unknown(), email), { mail: 'canary', deep: [{ mail: 'canary' }] }],
    ['a preprocess makes it', z.preprocess((value) => value, email), { mail: 'canary' }],
  ])('is kept where %s', (_, schema, body) => {
    expect(faultOf(schema)).toBeUndefined();
    expect(storedOf(body, schema)).not.toContain('canary');
  });
});

describe('a schema without an end', () => {
  let made = 0;
  const nodes = (): z.ZodType => (made++, z.object({ name: pii(z.string()), get children(): z.ZodType { return z.array(nodes()); } }));
  const lazies = (): z.ZodType => (made++, z.lazy(lazies));
  const unions = (): z.ZodType => (made++, z.lazy(() => z.union([z.object({ [`name${made}`]: pii(z.string()) }), z.array(unions())])));
  beforeEach(() => (made = 0));

  it.each([['of objects', nodes], ['of lazies', lazies], ['of unions', unions]])('%s is looked through within bounds, refused, and nothing of a body is kept in clear', (_, build) => {
    const schema = z.object({ it: build(), n: z.number() });
    expect(faultOf(schema)).toMatch(/^nobody can tell what its RequestBody marks as personal: it makes new schemas for ever, .* Build it once, in a const, and refer to that\.$/);
    expect(storedOf({ it: { children: [{ name: 'canary' }] }, n: 5 }, schema)).toMatch(/^"pii:/);
    expect(made).toBeLessThan(MOST_SCHEMAS + 10);
  });

  it('whose getter throws is refused, with the reason', () => {
    const schema = z.object({ it: z.lazy(() => { throw new Error('no such thing'); }), n: z.number() });
    expect(faultOf(schema)).toBe('nobody can tell what its RequestBody marks as personal: the schema of it cannot be looked through, since its getter throws: no such thing. Let it return a schema.');
    expect(storedOf({ n: 'canary' }, schema)).toMatch(/^"pii:/);
  });
});

describe('a schema that refers to itself', () => {
  it.each<[string, () => z.ZodType]>([
    ['by an inline lazy', () => { const node: z.ZodType = z.lazy(() => z.object({ name: pii(z.string()), n: z.number().optional(), children: z.array(node).optional() })); return node; }],
    ['by a getter', () => { const node: z.ZodType = z.object({ name: pii(z.string()), n: z.number().optional(), get children() { return z.array(node).optional(); } }); return node; }],
    ['by a lazy in a union in a record', () => { const node: z.ZodType = z.lazy(() => z.union([z.string().max(0), z.object({ name: pii(z.string()), n: z.number().optional(), children: z.union([z.array(node), z.record(z.string(), node)]).optional() })])); return node; }],
  ])('%s is kept, and its marks at every depth', (_, build) => {
    const schema = build();
    expect(faultOf(schema)).toBeUndefined();
    let body: JSONData = { name: 'canary', n: 1 };
    for (let depth = 0; depth < 200; depth++) body = { name: 'canary', n: depth, children: [body] };
    const stored = storedOf(body, schema);
    expect(stored).not.toContain('canary');
    expect(stored).toContain('"n":199');
  });

  it('z.json() is kept as it is', () => {
    expect(faultOf(z.object({ any: z.json() }))).toBeUndefined();
    expect(storedOf({ any: [{ a: [1, null, 'x'] }] }, z.object({ any: z.json() }))).toBe('{"any":[{"a":[1,null,"x"]}]}');
    expect(storedOf({ any: [{ a: [1, null, 'canary'] }], n: 1 }, z.object({ any: pii(z.json()), n: z.number() }))).toBe(`{"any":"${keyedHash([{ a: [1, null, 'canary'] }], KEY)}","n":1}`);
  });

  it('unions in unions, thousands deep, are looked through without recursion', () => {
    let schema: z.ZodType = z.object({ name: pii(z.string()) });
    for (let depth = 0; depth < 4_000; depth++) schema = z.union([schema, z.number()]);
    expect(faultOf(schema)).toBeUndefined();
    expect(storedOf({ name: 'canary' }, schema)).not.toContain('canary');
  });
});

describe('a schema of another Zod', () => {
  it('marks nothing that could be seen, so all that it describes is taken for personal', () => {
    expect(faultOf(zod3.object({ name: zod3.string() }) as unknown as z.ZodType)).toBeUndefined();
    expect(redactBody({ name: 'canary', by: { canary2: 1 } }, zod3.object({ name: zod3.string() }) as unknown as z.ZodType, KEY))
      .toEqual({ body: expect.stringMatching(/^pii:/), values: expect.arrayContaining(['canary', 'canary2']) });
    const older = Object.create(z.string(), { _zod: { value: { ...z.string()._zod, version: { major: 4, minor: 0, patch: 1 } } } }) as z.ZodType;
    expect(redactBody({ name: 'canary', n: 1 }, z.object({ name: older, n: z.number() }), KEY)?.body).toEqual({ name: expect.stringMatching(/^pii:/), n: 1 });
  });
});

/** A schema, and how to make a body of it in which every marked place holds the canary. */
interface Case {
  readonly schema: z.ZodType;
  readonly body: JSONData;
}

describe('any schema and any body', () => {
  const CANARY = 'canary-0042';
  const { tree } = fc.letrec<{ tree: Case; leaf: Case; branch: Case }>((tie) => ({
    leaf: fc.oneof<fc.Arbitrary<Case>[]>(
      fc.constant({ schema: z.string(), body: 'plain' }), fc.constant({ schema: z.number(), body: 7 }), fc.constant({ schema: z.json(), body: { a: [1] } }),
      fc.constant({ schema: pii(z.string()), body: CANARY }), fc.constant({ schema: pii(z.any()), body: { deep: [CANARY] } }),
      fc.constant({ schema: z.string().meta({ secret: true }), body: CANARY }), fc.constant({ schema: z.templateLiteral(['x', pii(z.string())]), body: `x${CANARY}` }),
      fc.constant({ schema: pii(z.object({ a: z.string() })).extend({ b: z.string() }).partial(), body: { a: CANARY, b: CANARY } }),
    ),
    branch: fc.oneof(
      fc.dictionary(fc.constantFrom('a', 'b', 'c', '__x'), tie('tree'), { maxKeys: 3 }).map((members) => ({
        schema: z.object(Object.fromEntries(Object.entries(members).map(([name, { schema }]) => [name, schema]))),
        body: Object.fromEntries(Object.entries(members).map(([name, { body }]) => [name, body])),
      })),
      fc.array(tie('tree'), { minLength: 1, maxLength: 3 }).map((items) => ({ schema: z.tuple(items.map(({ schema }) => schema) as [z.ZodType]), body: items.map(({ body }) => body) })),
      fc.tuple(tie('tree'), fc.array(tie('tree'), { maxLength: 2 }), fc.boolean()).map(([{ schema, body }, others, isFirst]) => ({
        schema: z.union(isFirst ? [schema, ...others.map((each) => each.schema)] : [...others.map((each) => each.schema), schema]), body,
      })),
      tie('tree').map(({ schema, body }) => ({ schema: z.array(schema), body: [body, body] })),
      tie('tree').map(({ schema, body }) => ({ schema: z.record(z.string(), schema), body: { k1: body, k2: body } })),
      tie('tree').map(({ schema }) => ({ schema: z.record(pii(z.string()), schema), body: { [CANARY]: 1 } })),
      tie('tree').map(({ schema, body }) => ({ schema: z.lazy(() => schema), body })),
      tie('tree').map(({ schema, body }) => ({ schema: z.lazy(() => z.object({ it: schema })), body: { it: body } })),
      tie('tree').map(({ schema, body }) => {
        const node: z.ZodType = z.lazy(() => z.object({ it: schema, next: z.array(node).optional() }));
        return { schema: node, body: { it: body, next: [{ it: body, next: [{ it: body }] }] } };
      }),
      fc.tuple(tie('tree'), tie('tree')).map(([one, other]) => ({ schema: z.intersection(z.object({ one: one.schema }), z.object({ other: other.schema })), body: { one: one.body, other: other.body } })),
      tie('tree').map(({ schema, body }) => ({ schema: schema.optional().nullable().readonly(), body })),
      tie('tree').map(({ schema, body }) => ({ schema: schema.transform((value) => value as unknown), body })),
      tie('tree').map(({ schema, body }) => ({ schema: z.preprocess((value) => value, schema), body })),
      tie('tree').map(({ schema, body }) => ({ schema: z.object({ a: z.number() }).extend({ a: schema }).loose(), body: { a: body } })),
    ),
    tree: fc.oneof({ maxDepth: 6, depthSize: 'medium' }, tie('leaf'), tie('branch')),
  }));

  it('is looked through, and no value that stands at a marked place is kept in clear', () => {
    let marked = 0;
    fc.assert(fc.property(tree, ({ schema, body }) => {
      if (JSON.stringify(body).includes(CANARY)) marked++;
      expect(storedOf(body, schema)).not.toContain(CANARY);
    }), { numRuns: 1_500 });
    expect(marked).toBeGreaterThan(300);
  });

  it('is looked through whatever the body, and what is not marked is kept', () => {
    fc.assert(fc.property(tree, fc.jsonValue(), ({ schema }, body) => {
      const stored = redactBody({ it: body as JSONData, n: 'kept' }, z.object({ it: schema, n: z.string() }), KEY)?.body ?? { n: 'kept' };
      expect(stored).toMatchObject({ n: 'kept' });
    }), { numRuns: 1_000 });
  });

  it('costs no more than twenty times as much for ten times the body, however many alternatives there are', () => {
    const options = Array.from({ length: 500 }, (_, n) => z.object({ [`f${n}`]: z.string(), name: n % 2 ? pii(z.string()) : z.string(), get next() { return schema; } }));
    const schema: z.ZodType = z.array(z.union(options));
    const bodyOf = (size: number): JSONData => Array.from({ length: size }, (_, n) => ({ [`f${n % 700}`]: 'x', [`unknown${n}`]: 1, name: 'Ada', next: [{ [`f${n % 499}`]: 'y' }] }));
    /** Of several the least, in ms of this process's own time, since other processes share the machine. */
    const timeOf = (body: JSONData) => Math.min(...Array.from({ length: 4 }, () => {
      const since = process.cpuUsage();
      redactBody(body, schema, KEY);
      return process.cpuUsage(since).user / 1_000;
    }));
    timeOf(bodyOf(1_000)); // The places of the schema are worked out once.
    const [small, large] = [timeOf(bodyOf(1_000)), timeOf(bodyOf(10_000))];
    expect(large).toBeLessThan(20 * Math.max(small, 10));
  });
});
