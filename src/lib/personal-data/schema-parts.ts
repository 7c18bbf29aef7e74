import type { ZodType } from 'zod';

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
  readonly getter?: () => ZodType;
}

const definitionOf = (schema: ZodType): Definition => (schema as unknown as { _zod: { def: Definition } })._zod.def;

/**
 * The schema itself and those that stand for the same value: what it wraps (optional, default, ...), takes in (transform), or
 * has for alternatives (union, intersection).
 */
export function* alternatives(schema: ZodType): Generator<ZodType> {
  yield schema;
  const { innerType, options = [], left, right, in: input, getter } = definitionOf(schema);
  for (const part of [innerType, ...options, left, right, input, getter?.()]) if (part) yield* alternatives(part);
}

/** How any of the schemas is marked; what is a secret to one of them is one. */
export function markOf(schemas: readonly ZodType[]): Mark | undefined {
  const metas = schemas.map((schema) => schema.meta() as { pii?: unknown; secret?: unknown } | undefined);
  if (metas.some((meta) => meta?.secret === true)) return 'secret';
  return metas.some((meta) => meta?.pii === true) ? 'pii' : undefined;
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
  schemas.flatMap((schema) => partsOf(definitionOf(schema))).flatMap((part) => (part ? [...alternatives(part)] : []));
