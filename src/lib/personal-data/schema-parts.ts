import { z, type ZodType } from 'zod';

/** How a field is marked: `.meta({ pii: true })` or `.meta({ secret: true })`. */
export type Mark = 'pii' | 'secret';

/** What Zod keeps of a schema (https://zod.dev/packages/core): as much of it as is read here. */
interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, ZodType>>;
  readonly catchall?: ZodType;
  readonly element?: ZodType;
  readonly innerType?: ZodType;
  readonly options?: readonly ZodType[];
  readonly left?: ZodType;
  readonly right?: ZodType;
  readonly keyType?: ZodType;
  readonly valueType?: ZodType;
  readonly items?: readonly ZodType[];
  readonly rest?: ZodType | null;
  readonly in?: ZodType;
  readonly out?: ZodType;
  readonly getter?: () => ZodType;
}

/** Of a schema of another Zod than ours nothing is known. */
const definitionOf = (schema: ZodType): Definition => (schema as unknown as { _zod?: { def: Definition } })._zod?.def ?? { type: 'unknown' };

/**
 * The schema itself and those that stand for the same value: what it wraps (optional, default, ...), takes in or gives out
 * (transform, preprocess, pipe), or has for alternatives (union, intersection). Each one once: a schema may refer to itself.
 */
export function alternatives(schemas: readonly ZodType[]): ZodType[] {
  const found = new Set(schemas);
  for (const schema of found) {
    const { innerType, options = [], left, right, in: input, out, getter } = definitionOf(schema);
    for (const part of [innerType, ...options, left, right, input, out, getter?.()]) if (part) found.add(part);
  }
  return [...found];
}

/** How any of the schemas is marked; what is a secret to one of them is one. */
export function markOf(schemas: readonly ZodType[]): Mark | undefined {
  const metas = schemas.map((schema) => z.globalRegistry.get(schema) as { pii?: unknown; secret?: unknown } | undefined);
  if (metas.some((meta) => meta?.secret === true)) return 'secret';
  return metas.some((meta) => meta?.pii === true) ? 'pii' : undefined;
}

const insides = new WeakMap<ZodType, Mark | 'none'>();

/** How anything is marked that a value of one of these schemas may hold. */
export function markInside(schemas: readonly ZodType[]): Mark | undefined {
  const marks = schemas.map((schema) => {
    const known = insides.get(schema) ?? markOf(reachableFrom(schema)) ?? 'none';
    insides.set(schema, known);
    return known;
  });
  return (['secret', 'pii'] as const).find((mark) => marks.includes(mark));
}

function reachableFrom(schema: ZodType): ZodType[] {
  const found = new Set([schema]);
  for (const each of found) {
    const { shape = {}, catchall, element, keyType, valueType, items = [], rest } = definitionOf(each);
    const parts = [...Object.values(shape), catchall, element, keyType, valueType, ...items, rest].filter((part) => part !== undefined && part !== null);
    for (const part of alternatives([each, ...parts])) found.add(part);
  }
  return [...found];
}

/** The schemas of an object's field, by whichever of `schemas` knows it. */
export const fieldSchemas = (schemas: readonly ZodType[], key: string): ZodType[] =>
  expand(schemas, ({ shape, catchall, valueType }) => [shape && Object.hasOwn(shape, key) ? shape[key] : catchall, valueType]);

/** The schemas of the keys of a record. */
export const keySchemas = (schemas: readonly ZodType[]): ZodType[] => expand(schemas, ({ keyType }) => [keyType]);

/** The schemas of an item of an array, or of a tuple, at an index. */
export const itemSchemas = (schemas: readonly ZodType[], index: number): ZodType[] =>
  expand(schemas, ({ element, items, rest }) => [element, items ? (items[index] ?? rest) : undefined]);

const expand = (schemas: readonly ZodType[], partsOf: (definition: Definition) => readonly (ZodType | null | undefined)[]): ZodType[] =>
  alternatives(schemas.flatMap((schema) => partsOf(definitionOf(schema))).filter((part) => part !== undefined && part !== null));
