import { core, type ZodType } from 'zod';
import { fieldErrors } from '../lib/errors/problem.js';
import { ServiceError } from '../lib/errors/service-error.js';

/** What a schema made of a body: its data, or what is wrong with it. */
export type ParsedBody = { readonly data: unknown } | { readonly count: number; readonly issues: Parameters<typeof fieldErrors>[0] };

/** As many issues are told; a body of a megabyte may have a million. */
const MOST_ISSUES = 100;

/**
 * As `schema.safeParseAsync(body)`, but messages are made for the first 100 issues alone. Zod makes one for each, and a text of all
 * of them for its error, which takes seconds, and throws where it is longer than a string can be.
 * @throws {ServiceError} 400 for a body with so many faults that Zod cannot count them
 */
export async function parseBody(schema: ZodType, body: unknown): Promise<ParsedBody> {
  // Another version of Zod has other insides.
  if (!isOurs(schema)) {
    const result = await schema.safeParseAsync(body);
    return result.success ? { data: result.data } : { count: result.error.issues.length, issues: result.error.issues.slice(0, MOST_ISSUES) };
  }
  const context = { async: true };
  const { value, issues } = await run(schema, body, context);
  if (issues.length === 0) return { data: value };
  return { count: issues.length, issues: issues.slice(0, MOST_ISSUES).map((issue) => core.util.finalizeIssue(issue, context, core.config())) };
}

async function run(schema: ZodType, body: unknown, context: { async: boolean }) {
  try {
    return await schema._zod.run({ value: body, issues: [] }, context);
  } catch (cause) {
    // Zod hands on the faults of a list as the arguments of one call: some 100,000 of them are more than the stack holds.
    if (cause instanceof RangeError && cause.message.includes('call stack')) throw new ServiceError(400, TOO_MUCH, { cause });
    throw cause;
  }
}

const TOO_MUCH = 'The body does not fit: it has too many faults to be counted, or is nested too deep to be checked.';

const isOurs = (schema: ZodType): boolean => schema instanceof core.$ZodType;

/** The 400 for a body with issues: the first 100, each with its path. */
export function bodyDoesNotFit({ count, issues }: Extract<ParsedBody, { count: number }>): ServiceError {
  const more = count > issues.length ? ` It has ${count} faults, of which the first ${issues.length} are listed.` : '';
  return new ServiceError(400, `The body does not fit.${more}`, { errors: fieldErrors(issues) });
}
