/** isDryRun, and what callers write for it: dryRun, dry_run, is-dry-run, IsDryRun, dryRunMode. */
const DRY_RUN_NAME = /^[^a-z]*(?:is)?[^a-z]*dry[^a-z]*run[^a-z]*(?:mode|only)?[^a-z]*$/i;
const LONGEST_NAME = 40;

/** Texts that say no, in query strings, flags and forms. */
const NO = new Set(['', 'false', '0', 'no', 'n', 'off', 'f', 'disabled']);

/**
 * The field by which `fields` (a body, a query string) asks for a dry run, or undefined. Whatever does not plainly say no
 * is a yes: a dry run too many costs a call, and one too few writes. Only the object's own fields are looked at, not what they hold.
 */
export function dryRunWishIn(fields: unknown): string | undefined {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return undefined;
  return Object.keys(fields).find((name) => isDryRunName(name) && !saysNo((fields as Record<string, unknown>)[name]));
}

const isDryRunName = (name: string): boolean => name.length <= LONGEST_NAME && DRY_RUN_NAME.test(name);

const saysNo = (value: unknown): boolean =>
  value === undefined || value === null || value === false || value === 0 || (typeof value === 'string' && NO.has(value.trim().toLowerCase()));
