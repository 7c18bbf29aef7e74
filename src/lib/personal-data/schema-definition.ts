import { z, type ZodType } from 'zod';

/** The parts of a schema, by what of a value they stand for. */
export interface SchemaParts {
  /** For the whole value: what is wrapped (optional, lazy, ...), taken in or given out (pipe), an alternative, or a piece of its text. A pipe has its input first, then its output. */
  readonly same: readonly ZodType[];
  /** For an object's fields, by name. */
  readonly fields: readonly (readonly [string, ZodType])[];
  /** For fields that are checked on top of that (`z.property`), by name. */
  readonly checked: readonly (readonly [string, ZodType])[];
  /** For the fields of all other names. */
  readonly otherFields: readonly ZodType[];
  /** For the names of a record. */
  readonly keys: readonly ZodType[];
  /** For an array's items, by index. */
  readonly items: readonly ZodType[];
  /** For the items after those. */
  readonly otherItems: readonly ZodType[];
}

/** What Zod keeps of a schema (https://zod.dev/packages/core): as much of it as is read here. */
interface Internals {
  readonly version?: { readonly major: number; readonly minor: number; readonly patch: number };
  readonly def: Definition;
  /** What the getter of a lazy schema returned at its first call. Zod keeps it; another call may make another schema. */
  readonly innerType?: ZodType;
}

interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, ZodType>>;
  readonly catchall?: ZodType;
  readonly element?: ZodType;
  readonly keyType?: ZodType;
  readonly valueType?: ZodType;
  readonly items?: readonly ZodType[];
  readonly rest?: ZodType | null;
  readonly checks?: readonly { readonly _zod?: { readonly def?: { readonly check?: string; readonly property?: string; readonly schema?: ZodType } } }[];
}

/** These hold no schema, or one that is read by its own rule; the getters of defaultValue and getter call the author's code. */
const READ_OTHERWISE = new Set(['type', 'shape', 'catchall', 'element', 'keyType', 'valueType', 'items', 'rest', 'checks', 'defaultValue', 'getter', 'error']);

/** Undefined for a schema of another Zod, of which nothing is known: neither how it is built nor what it marks. */
const internalsOf = (schema: ZodType): Internals | undefined => {
  const internals = (schema as { _zod?: Internals } | undefined)?._zod;
  const { major, minor, patch } = internals?.version ?? {};
  const ours = z.core.version;
  return major === ours.major && minor === ours.minor && patch === ours.patch ? internals : undefined;
};

/** Whether the schema is of the same Zod as the service's. */
export const isKnownSchema = (schema: ZodType): boolean => internalsOf(schema) !== undefined;

/** Such as object, union, pipe; `unknown` too for a schema of another Zod. */
export const typeOf = (schema: ZodType): string => internalsOf(schema)?.def.type ?? 'unknown';

/**
 * The parts of a schema. The same ones at each call.
 * @throws what a lazy's getter or the getter of an object's field throws
 */
export function partsOf(schema: ZodType): SchemaParts {
  const internals = internalsOf(schema);
  if (!internals) return { same: [], fields: [], checked: [], otherFields: [], keys: [], items: [], otherItems: [] };
  const { def, innerType } = internals;
  const { type, shape = {}, catchall, element, keyType, valueType, items = [], rest } = def;
  return {
    same: [...present(type === 'lazy' ? innerType : undefined), ...otherParts(def)],
    fields: Object.entries(shape),
    checked: checkedProperties(def),
    // A strict object's catchall takes nothing. So it does not know the field, which may be a misspelt one.
    otherFields: [...present(catchall), ...present(type === 'set' ? undefined : valueType)].filter((part) => typeOf(part) !== 'never'),
    keys: present(keyType),
    items,
    otherItems: [...present(element), ...present(rest), ...present(type === 'set' ? valueType : undefined)],
  };
}

const present = (part: ZodType | null | undefined): ZodType[] => (part ? [part] : []);

/** Every other schema that the definition holds is taken to stand for the whole value, so that a mark in a kind of schema that is not known here marks too much and not too little. */
function otherParts(def: Definition): ZodType[] {
  return Object.keys(def)
    .filter((key) => !READ_OTHERWISE.has(key))
    .flatMap((key) => (def as unknown as Record<string, unknown>)[key])
    .filter((part): part is ZodType => typeof part === 'object' && part !== null && '_zod' in part);
}

const checkedProperties = ({ checks = [] }: Definition): [string, ZodType][] =>
  checks.flatMap((check): [string, ZodType][] => {
    const { check: kind, property, schema } = check._zod?.def ?? {};
    return kind === 'property' && property !== undefined && schema ? [[property, schema]] : [];
  });
