import fc from 'fast-check';

const fail = (): never => {
  throw new Error('hostile');
};

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

function circle(): unknown {
  const error: Error & { self?: unknown } = new Error('round', { cause: new Error('and round') });
  error.self = error;
  (error.cause as Error).cause = error;
  return error;
}

/** Values that throw, lie or go in circles when they are looked at. */
export const HOSTILE: Readonly<Record<string, () => unknown>> = {
  'a Proxy whose every trap throws': () =>
    new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail, getOwnPropertyDescriptor: fail, set: fail, defineProperty: fail }),
  'a Proxy of an Error that throws': () => new Proxy(new Error('inner'), { get: fail }),
  'a revoked Proxy': () => revoked({}),
  'a revoked Proxy of an array': () => revoked([]),
  'a revoked Proxy of a function': () => revoked(() => 1),
  'getters that throw': () => ({ get a() { return fail(); }, get message() { return fail(); }, get stack() { return fail(); }, get code() { return fail(); } }),
  'an Error whose fields throw': () =>
    Object.defineProperties(new Error('x'), Object.fromEntries(['stack', 'name', 'message', 'cause', 'code'].map((key) => [key, { get: fail, enumerable: true }]))),
  'an Error whose fields are no strings': () => Object.assign(new Error('x'), { name: {}, message: { toString: fail }, stack: 5, code: Symbol('s') }),
  'a toString that throws': () => ({ toString: fail, [Symbol.toPrimitive]: fail, valueOf: fail }),
  'a toJSON that throws': () => ({ toJSON: fail }),
  'a toJSON that gives itself': () => ({ toJSON() { return this; } }),
  'a toJSON without end': () => {
    const endless = (): object => ({ toJSON: () => [endless()] });
    return endless();
  },
  'a circle of errors': circle,
  'a frozen error': () => Object.freeze(new Error('frozen')),
  'a Map whose iterator throws': () => Object.assign(new Map([[1, 2]]), { [Symbol.iterator]: fail }),
  'an invalid Date': () => new Date(NaN),
  'a Date whose methods throw': () => Object.assign(new Date(), { getTime: fail, toISOString: fail, toJSON: fail }),
  'an AggregateError of circles': () => new AggregateError([circle(), revoked({})], ''),
  'something with the shape of a ZodError': () => ({ name: 'ZodError', message: '', issues: [{ path: 5 }, revoked({})] }),
  'something with the shape of an AggregateError': () => ({ message: '', errors: { length: 1e9 } }),
};

/**
 * Anything that fast-check can make up, plain or hostile, and the one inside the other. Behind a function, since fast-check
 * looks at what it hands out, and that fails.
 */
export const anything = (): fc.Arbitrary<() => unknown> => {
  const odd = fc
    .anything({ withBigInt: true, withBoxedValues: true, withDate: true, withMap: true, withNullPrototype: true, withSet: true, withSparseArray: true, withTypedArray: true })
    .map((value) => () => value);
  const any = fc.oneof(odd, fc.constantFrom(...Object.values(HOSTILE)));
  const inArray = fc.array(any).map((makers) => () => makers.map((make) => make()));
  const inObject = fc.dictionary(fc.string(), any).map((makers) => () => Object.fromEntries(Object.entries(makers).map(([key, make]) => [key, make()])));
  const asCause = any.map((make) => () => new Error('outer', { cause: make() }));
  return fc.oneof(any, inArray, inObject, asCause);
};
