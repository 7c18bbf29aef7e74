import { z, type ZodType } from 'zod';
import { type JsonSchema, type JsonType, resolved, typesOf } from './flag-value.js';

/** A field of a job's body, as a flag of the command line. */
export interface JobFlag {
  readonly field: string;
  /** The field in kebab-case, without the dashes: batch-size for batchSize. */
  readonly name: string;
  /** What one value may be: for a list, one of its items. */
  readonly types: ReadonlySet<JsonType>;
  /** Given once for each item. */
  readonly isList: boolean;
  /** Stands alone for true, and as --no-<name> for false. */
  readonly isSwitch: boolean;
  readonly isRequired: boolean;
  readonly choices: readonly unknown[] | undefined;
  readonly default: unknown;
  readonly description: string | undefined;
}

/** The fields of an object's schema as flags, in its order; none where it is no object. */
export function flagsOf(RequestBody: ZodType): readonly JobFlag[] {
  const root = z.toJSONSchema(RequestBody, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  return fieldsOf(root, root).map(({ field, schema, isRequired }) => flagOf(field, schema, isRequired, root));
}

/** batch-size for batchSize and batch_size, source-url for sourceURL. */
export const kebabCase = (name: string): string =>
  name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').replace(/([A-Z])([A-Z][a-z])/g, '$1-$2').replaceAll('_', '-').toLowerCase();

interface Field {
  readonly field: string;
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
}

/** Also those of an intersection's parts, and of a union's, of which one is required when it is in each of the parts. */
function fieldsOf(schema: JsonSchema, root: JsonSchema, depth = 0): Field[] {
  if (depth > 10) return [];
  const { properties = {}, required = [], allOf = [], anyOf = [], oneOf = [] } = resolved(schema, root);
  const own = Object.entries(properties).map(([field, property]) => ({ field, schema: property, isRequired: required.includes(field) }));
  const all = allOf.flatMap((part) => fieldsOf(part, root, depth + 1));
  const parts = [...anyOf, ...oneOf].map((part) => fieldsOf(part, root, depth + 1));
  const isInAll = (name: string) => parts.every((part) => part.some(({ field, isRequired }) => field === name && isRequired));
  const some = parts.flat().map((field) => ({ ...field, isRequired: isInAll(field.field) }));
  return merged([...own, ...all, ...some]);
}

/** A field that several parts have may be what any of them says, and its flag tells of all. */
function merged(fields: readonly Field[]): Field[] {
  const byName = new Map<string, Field>();
  for (const next of fields) {
    const known = byName.get(next.field);
    const both = known && { ...next, schema: { anyOf: [known.schema, next.schema] }, isRequired: known.isRequired || next.isRequired };
    byName.set(next.field, both ?? next);
  }
  return [...byName.values()];
}

function flagOf(field: string, schema: JsonSchema, isRequired: boolean, root: JsonSchema): JobFlag {
  const found = inOne(resolved(schema, root), root);
  const types = typesOf(found, root);
  const isList = isOnly(types, 'array') && typeof found.items === 'object' && !found.prefixItems;
  const item = isList ? resolved(found.items as JsonSchema, root) : found;
  return {
    field,
    name: kebabCase(field),
    types: isList ? typesOf(item, root) : types,
    isList,
    isSwitch: !isList && isOnly(types, 'boolean'),
    isRequired: isRequired && found.default === undefined,
    choices: item.enum ?? (item.const === undefined ? undefined : [item.const]),
    default: found.default,
    description: found.description,
  };
}

/** What a union's alternatives say each, said of the union: all choices, where each has some; all descriptions; the default that they share. */
function inOne(schema: JsonSchema, root: JsonSchema): JsonSchema {
  if (!schema.anyOf) return schema;
  const parts = alternativesOf(schema, root);
  const choices = parts.map((part) => part.enum ?? (part.const === undefined ? undefined : [part.const]));
  const descriptions = parts.flatMap(({ const: word, description }) => (!description ? [] : typeof word === 'string' ? `${word}: ${description}` : description));
  const [first, ...others] = parts.map((part) => JSON.stringify(part.default));
  return {
    ...(choices.every((each) => each !== undefined) && { enum: [...new Set(choices.flat())] }),
    ...(others.every((each) => each === first) && { default: parts[0]?.default }),
    ...(descriptions.length > 0 && { description: [...new Set(descriptions)].join(' ') }),
    ...schema,
  };
}

const alternativesOf = (schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema[] =>
  schema.anyOf && schema.description === undefined && depth <= 10 ? schema.anyOf.flatMap((part) => alternativesOf(resolved(part, root), root, depth + 1)) : [schema];

const isOnly = (types: ReadonlySet<JsonType>, wanted: JsonType): boolean =>
  types.has(wanted) && [...types].every((type) => type === wanted || type === 'null');
