import { z, type ZodType } from 'zod';

/** What Zod keeps of a schema, as far as it is used here. */
interface Internals {
  constr: new (def: unknown) => ZodType;
  readonly def: Readonly<Record<string, unknown>> & { readonly type: string };
}

/** For each schema, the schemas that it was made from. */
export type Sources = WeakMap<ZodType, readonly ZodType[]>;

/** Where a part of a schema is taken from, to build another one: `Patient.shape.name`, `z.object({ ...Patient.shape })`, `phones.element`. */
const PARTS = ['shape', 'element', 'options', 'keyType', 'valueType', 'in', 'out'];
/** For each type of schema, the methods that return a part of it, or a smaller schema. Every type that wraps another schema has `unwrap`. */
const METHODS: Readonly<Record<string, readonly string[]>> = { default: ['removeDefault'], catch: ['removeCatch'], enum: ['extract', 'exclude'], lazy: ['unwrap'] };

const kept = new WeakSet<ZodType>();

/**
 * Notes in `sources`, for each schema that is made from this one later, that it comes from this one. Zod keeps metadata through
 * `.describe()`, `.refine()` and checks, and drops it in `.extend()`, `.pick()`, `.omit()`, `.partial()`, `.strict()` and others.
 */
export function keepMarkOnDerived(schema: ZodType, sources: Sources): void {
  const internals = internalsOf(schema);
  if (!internals || kept.has(schema)) return;
  kept.add(schema);
  const note = (derived: ZodType): ZodType => {
    sources.set(derived, [schema]);
    keepMarkOnDerived(derived, sources);
    return derived;
  };
  // Zod makes every derived schema with this constructor (clone of zod/v4/core/util).
  const Original = internals.constr;
  internals.constr = function Derived(def: unknown) {
    return note(new Original(def));
  } as unknown as Internals['constr'];
  const marked = (part: unknown) => (internalsOf(part) ? note(z.core.clone(part as never) as unknown as ZodType) : part);
  for (const name of PARTS) if (name in internals.def) answerWith(schema, name, () => partsWith(internals.def[name], marked));
  for (const name of [...(METHODS[internals.def.type] ?? []), ...('innerType' in internals.def ? ['unwrap'] : [])]) wrapMethod(schema, name, marked);
}

const internalsOf = (schema: unknown): Internals | undefined => (schema as { _zod?: Internals } | null | undefined)?._zod;

/** One schema, or an array or object of them. */
function partsWith(value: unknown, marked: (part: unknown) => unknown): unknown {
  if (internalsOf(value)) return marked(value);
  if (Array.isArray(value)) return value.map(marked);
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, marked(part)])) : value;
}

/** Answers a property with what `make` returns at the first read, the same at each later one. What Zod itself reads stands in the definition. */
function answerWith(schema: ZodType, name: string, make: () => unknown): void {
  let made: { readonly value: unknown } | undefined;
  Object.defineProperty(schema, name, {
    configurable: true,
    enumerable: true,
    get: () => (made ??= { value: make() }).value,
    // Zod may set the property after this, while it is still building the schema. What it sets stands in the definition too.
    set() {},
  });
}

/** The method may come only after this, while Zod is still building the schema. */
function wrapMethod(schema: ZodType, name: string, marked: (part: unknown) => unknown): void {
  let method = (schema as unknown as Record<string, unknown>)[name];
  const wrapped = (...args: unknown[]) => marked((method as (...given: unknown[]) => unknown)(...args));
  Object.defineProperty(schema, name, {
    configurable: true,
    enumerable: true,
    get: () => (typeof method === 'function' ? wrapped : method),
    set(later: unknown) {
      method = later;
    },
  });
}

/** `.merge()` makes its schema from the first of the two. What it gets from the second keeps the mark by this. */
export function keepMarkInMerge(sources: Sources, isMarked: (schema: ZodType) => boolean): void {
  const anyObject = z.object({}); // Zod puts the methods on the prototype when it builds the first object.
  const prototype = Object.getPrototypeOf(anyObject) as object;
  const zodsOwn = Object.getOwnPropertyDescriptor(prototype, 'merge');
  if (!zodsOwn?.get) throw new Error('this version of Zod keeps .merge() elsewhere: see how a mark on its argument can be kept');
  Object.defineProperty(prototype, 'merge', {
    configurable: true,
    get(this: ZodType) {
      const own = zodsOwn.get?.call(this) as (other: ZodType) => ZodType;
      const value = (other: ZodType) => {
        const merged = own(other);
        if (!isMarked(other)) return merged;
        sources.set(merged, [...(sources.get(merged) ?? []), other]);
        keepMarkOnDerived(merged, sources);
        return merged;
      };
      // Zod has put its own method on the object, so that it is found there from now on.
      Object.defineProperty(this, 'merge', { configurable: true, writable: true, enumerable: false, value });
      return value;
    },
  });
}
