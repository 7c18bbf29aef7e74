import type { ZodType } from 'zod';

/** What Zod keeps of a schema (https://zod.dev/packages/core): as much of it as is read here. */
interface Definition {
  readonly shape?: Readonly<Record<string, ZodType>>;
  readonly options?: readonly ZodType[];
  readonly left?: ZodType;
  readonly right?: ZodType;
  readonly in?: ZodType;
  readonly innerType?: ZodType;
}

/** Whether whoever fits the schema may say isDryRun: of a union each alternative, since which one is meant is not known. */
export function knowsDryRun(schema: ZodType): boolean {
  // Another version of Zod keeps none there.
  const { shape, options, left, right, in: input, innerType } = (schema as { _zod?: { def: Definition } })._zod?.def ?? {};
  if (shape) return Object.hasOwn(shape, 'isDryRun');
  if (options) return options.every(knowsDryRun);
  return [left, right, input, innerType].some((part) => part !== undefined && knowsDryRun(part));
}
