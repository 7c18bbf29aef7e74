import { z, type ZodType } from 'zod';
import { keepMarkInMerge, keepMarkOnDerived, type Sources } from './derived-schemas.js';

/** How a field is marked: `.meta({ pii: true })` or `.meta({ secret: true })`. */
export type Mark = 'pii' | 'secret';

/** A secret comes first: a field that is marked as both counts as a secret. */
const MARKS: readonly Mark[] = ['secret', 'pii'];

type Said = { readonly [mark in Mark]?: boolean };

/** What is remembered of marks, beside what Zod's registry holds. */
interface Memory {
  /** What `.meta()` said of a schema. Zod's registry forgets it when the same schema is registered again with other words. */
  readonly said: WeakMap<ZodType, Said>;
  /** For a schema that was made from a marked one (extend, pick, partial, ...): that one. Zod itself keeps no such link. */
  readonly sources: Sources;
}

interface Registry {
  add(schema: ZodType, meta?: unknown): Registry;
  [MEMORY]?: Memory;
}

/** The marks are kept on Zod's registry. A process has one registry, however many copies of Zod or of this file it has loaded. */
const MEMORY = Symbol.for('@commons/backend/personal-data/marks');
const memory = watch(z.globalRegistry as unknown as Registry);

/** How a schema is marked: by its own `.meta()`, or by that of the schema that it was made from. */
export const markOf = (schema: ZodType): Mark | undefined => MARKS.find((mark) => saidOf(schema, mark) === true);

/** Whether the author has said `.meta({ pii: false })`. */
export const isSaidNotPersonal = (schema: ZodType): boolean => saidOf(schema, 'pii') === false && markOf(schema) === undefined;

/** The nearest mark counts. A `false` does not carry over to a schema that is made from this one later: extend may add a name. */
function saidOf(schema: ZodType, mark: Mark): boolean | undefined {
  const internals = (schema as { _zod?: { parent?: ZodType } })._zod;
  const said = memory.said.get(schema)?.[mark] ?? (internals && asSaid(z.globalRegistry.get(schema))[mark]) ?? (internals?.parent && saidOf(internals.parent, mark));
  if (said !== undefined) return said;
  return memory.sources.get(schema)?.some((source) => saidOf(source, mark) === true) || undefined;
}

/** `pii: 'yes'` is a mark too: that is what its author means. */
function asSaid(meta: unknown): Said {
  const words = (typeof meta === 'object' && meta !== null ? meta : {}) as Record<string, unknown>;
  return Object.fromEntries(MARKS.filter((mark) => words[mark] !== undefined).map((mark) => [mark, words[mark] !== false]));
}

/** From now on every mark is noted. So this file must be loaded before the first job. */
function watch(registry: Registry): Memory {
  const known = registry[MEMORY];
  if (known) return known;
  const created: Memory = { said: new WeakMap(), sources: new WeakMap() };
  const { said, sources } = created;
  const register = registry.add.bind(registry);
  registry.add = (schema, meta) => {
    register(schema, meta);
    const words = asSaid(meta);
    if (Object.keys(words).length === 0) return registry;
    said.set(schema, { ...said.get(schema), ...words });
    if (Object.values(words).includes(true)) keepMarkOnDerived(schema, sources);
    return registry;
  };
  keepMarkInMerge(sources, (schema) => markOf(schema) !== undefined);
  Object.defineProperty(registry, MEMORY, { value: created });
  return created;
}
