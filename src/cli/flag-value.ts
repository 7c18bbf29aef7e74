/** A JSON Schema (draft 2020-12), as much of one as Zod writes and a flag needs. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema | boolean;
  readonly prefixItems?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly default?: unknown;
  readonly description?: string;
}

export type JsonType = 'string' | 'number' | 'boolean' | 'null' | 'array' | 'object';

const ANY: readonly JsonType[] = ['string', 'number', 'boolean', 'null', 'array', 'object'];

/** Behind its reference, if it is one. An unknown or circular reference is taken for a schema that allows anything. */
export function resolved(schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema {
  if (schema.$ref === undefined) return schema;
  if (schema.$ref === '#') return root;
  const target = root.$defs?.[schema.$ref.replace(/^#\/\$defs\//, '')];
  if (target === undefined || depth > 10) return {};
  // What stands beside a reference (a default, a description) counts too.
  const { $ref: _reference, ...beside } = schema;
  return { ...resolved(target, root, depth + 1), ...beside };
}

/** The types of JSON that fit the schema; all of them where it says nothing. */
export function typesOf(schema: JsonSchema, root: JsonSchema, depth = 0): ReadonlySet<JsonType> {
  const found = resolved(schema, root);
  if (depth > 10) return new Set(ANY);
  if (found.enum) return new Set(found.enum.map(typeOf));
  if (found.const !== undefined) return new Set([typeOf(found.const)]);
  if (found.type !== undefined) return new Set([found.type].flat().map((type) => (type === 'integer' ? 'number' : type) as JsonType));
  const either = found.anyOf ?? found.oneOf;
  if (either) return new Set(either.flatMap((part) => [...typesOf(part, root, depth + 1)]));
  const parts = (found.allOf ?? []).map((part) => typesOf(part, root, depth + 1));
  return new Set(ANY.filter((type) => parts.every((types) => types.has(type))));
}

export function typeOf(value: unknown): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value as JsonType;
}

/**
 * What `text` means where one of `types` is wanted: itself where only text is; else the JSON value that it is; else, where
 * text is allowed too, itself.
 * @throws {RangeError} saying what it takes
 */
export function readValue(text: string, types: ReadonlySet<JsonType>): unknown {
  const isTextOnly = [...types].every((type) => type === 'string' || type === 'null') && types.has('string');
  if (isTextOnly) return text;
  const value = tryJson(text);
  if (value !== undefined && types.has(typeOf(value))) return exact(value, text);
  if (types.has('string')) return text;
  throw new RangeError(`takes <${typeNames(types)}>`);
}

/** Such as `number` or `number | null`; `JSON` where anything goes. */
export const typeNames = (types: ReadonlySet<JsonType>): string =>
  ANY.every((type) => types.has(type)) ? 'JSON' : [...types].map((type) => (type === 'array' || type === 'object' ? `JSON ${type}` : type)).join(' | ');

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A long id must not become a neighbouring number. @throws {RangeError} */
function exact(value: unknown, text: string): unknown {
  if (typeof value === 'number' && (!Number.isFinite(value) || (/^\s*-?\d+\s*$/.test(text) && !Number.isSafeInteger(value)))) {
    throw new RangeError(`takes a number that JavaScript holds exactly (up to ${Number.MAX_SAFE_INTEGER})`);
  }
  return value;
}
