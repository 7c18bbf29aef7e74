import type { ZodType } from 'zod';

/** What Zod keeps of a schema (https://zod.dev/packages/core): as much of it as is read here. */
interface Internals {
  readonly def: {
    readonly shape?: Readonly<Record<string, ZodType>>;
    readonly options?: readonly ZodType[];
    readonly left?: ZodType;
    readonly right?: ZodType;
    readonly in?: ZodType;
    readonly innerType?: ZodType;
  };
  /** What the getter of a lazy schema gave. Zod calls the getter once. */
  readonly innerType?: ZodType;
}

/** People write fewer, and a lazy may make a new schema for ever. */
const MOST_SCHEMAS = 1_000;

/**
 * Whether whoever fits the schema may say `field` (default: isDryRun). Of a union each alternative must know it, since which
 * one is meant is not known.
 */
export function knowsDryRun(schema: ZodType, field = 'isDryRun'): boolean {
  // Each schema is looked at once: it may stand in many places, and may hold itself.
  const answers = new Map<ZodType, boolean>();
  const knows = (part: ZodType): boolean => {
    const known = answers.get(part);
    if (known !== undefined || answers.size >= MOST_SCHEMAS) return known ?? false;
    answers.set(part, false);
    const answer = look(part);
    answers.set(part, answer);
    return answer;
  };
  const look = (part: ZodType): boolean => {
    // Another version of Zod keeps none there.
    const internals = (part as { _zod?: Internals })._zod;
    const { shape, options, left, right, in: input, innerType = internals?.innerType } = internals?.def ?? {};
    if (shape) return Object.hasOwn(shape, field);
    if (options) return options.every(knows);
    return [left, right, input, innerType].some((each) => each !== undefined && knows(each));
  };
  return knows(schema);
}
