import { CliError } from './cli-error.js';
import { readValue, typeNames } from './flag-value.js';
import { type JobFlag, kebabCase } from './job-flags.js';

/** What was typed behind `run <slug>`. */
export interface RunArguments {
  readonly isHelp: boolean;
  /** --body, as it was typed. */
  readonly body: string | undefined;
  /** What the flags say, to go over the body. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The command's own, whatever fields the job has; those can be given in --body. */
export const RESERVED: readonly string[] = ['body', 'help'];

/**
 * Reads the arguments of one job. `flags` is undefined where they are not known.
 * @throws {CliError} naming the first flag that is wrong, what it takes, and the flags there are
 */
export function readRunArguments(args: readonly string[], flags: readonly JobFlag[] | undefined): RunArguments {
  const fields = new Map<string, unknown>();
  let body: string | undefined;
  // The next one stands last: taking from the front moves all the others.
  const rest = args.toReversed();
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const [, dashed, inline] = /^(--?[^=]*)(?:=([^]*))?$/.exec(next) ?? [];
    if (dashed === undefined) throw refusal(`${JSON.stringify(next)} is no flag: a job's parameters are given as --name value`, flags);
    if (dashed === '--help' || dashed === '-h') return { isHelp: true, body, fields: {} };
    if (dashed === '--body') {
      if (body !== undefined) throw new CliError('--body was given twice');
      body = inline ?? nextValue(rest);
      if (body === undefined) throw new CliError('--body takes JSON text, @file.json, or - for stdin');
      continue;
    }
    const { flag, isNegated } = find(dashed, flags);
    const value = isNegated ? negated(dashed, inline, flags) : valueOf(dashed, inline, flag, rest, flags);
    if (fields.has(flag.field) && !flag.isList) throw refusal(`${dashed} was given twice, and takes one value`, flags);
    const items = fields.get(flag.field);
    if (flag.isList && Array.isArray(items)) items.push(value);
    else fields.set(flag.field, flag.isList ? [value] : value);
  }
  return { isHelp: false, body, fields: Object.fromEntries(fields) };
}

function find(dashed: string, flags: readonly JobFlag[] | undefined): { flag: JobFlag; isNegated: boolean } {
  if (!flags) {
    throw new CliError(`${dashed}: this job exports no RequestBody that flags could be made from. Give it its parameters with --body '<json>'`);
  }
  const typed = dashed.replace(/^--/, '');
  const flag = flags.find(({ field }) => field === typed) ?? dryRunAlias(typed, flags) ?? byName(typed, flags);
  if (flag && !RESERVED.includes(flag.field)) return { flag, isNegated: false };
  const opposite = typed.startsWith('no-') ? byName(typed.slice('no-'.length), flags) : undefined;
  if (opposite?.isSwitch) return { flag: opposite, isNegated: true };
  if (kebabCase(typed) === 'dry-run') throw refusal('--dry-run: this job has no isDryRun, so it cannot be rehearsed', flags);
  throw refusal(`${dashed} is no flag of this job`, flags);
}

/** --dry-run is --is-dry-run, also beside a field of the name dryRun: a rehearsal that writes would be worse than a surprise. */
const dryRunAlias = (typed: string, flags: readonly JobFlag[]): JobFlag | undefined =>
  typed === 'dry-run' ? flags.find(({ field }) => field === 'isDryRun') : undefined;

function byName(typed: string, flags: readonly JobFlag[]): JobFlag | undefined {
  const [flag, second] = flags.filter(({ name }) => name === kebabCase(typed));
  if (flag && second) throw refusal(`--${typed} may be --${flag.field} or --${second.field}: write one of these`, flags);
  return flag;
}

function valueOf(dashed: string, inline: string | undefined, flag: JobFlag, rest: string[], flags: readonly JobFlag[] | undefined): unknown {
  const text = inline ?? (flag.isSwitch ? switchValue(rest) : nextValue(rest));
  if (text === undefined) throw refusal(`${dashed} takes <${typeNames(flag.types)}>; write ${dashed}=<value> where it begins with --`, flags);
  try {
    return readValue(text, flag.types);
  } catch (error) {
    throw refusal(`${dashed} ${(error as Error).message}, not ${JSON.stringify(text)}`, flags);
  }
}

function negated(dashed: string, inline: string | undefined, flags: readonly JobFlag[] | undefined): false {
  if (inline !== undefined) throw refusal(`${dashed} takes no value`, flags);
  return false;
}

/** What follows, unless it is a flag: a value may well begin with one hyphen (-5, -). */
const nextValue = (rest: string[]): string | undefined => (rest.at(-1)?.startsWith('--') ? undefined : rest.pop());

const switchValue = (rest: string[]): string | undefined => (rest.at(-1) === 'true' || rest.at(-1) === 'false' ? rest.pop() : 'true');

function refusal(message: string, flags: readonly JobFlag[] | undefined): CliError {
  const names = (flags ?? []).map(({ name }) => `--${name}`).join(', ');
  return new CliError(flags ? `${message}.\nIts flags: ${names || 'none'}${names && ', '}--body` : message);
}
