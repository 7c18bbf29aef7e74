import type { JobConfig } from '../jobs/helpers.js';
import { typeNames } from './flag-value.js';
import type { JobFlag } from './job-flags.js';
import { table } from './readable.js';
import { RESERVED } from './run-arguments.js';

/** What `run <slug> --help` prints: the job's own flags with their types, defaults and descriptions. */
export function jobHelp(slug: string, { description }: JobConfig, flags: readonly JobFlag[] | undefined): string {
  const hasDryRun = flags?.some(({ field }) => field === 'isDryRun');
  const rows = [
    ...(flags ?? []).map((flag) => [`  ${shownFlag(flag)}`, describe(flag)]),
    ...(hasDryRun ? [['  --dry-run', 'the same as --is-dry-run']] : []),
    ['  --body <json>', "the whole body: JSON text, @file.json, or - for stdin; flags go over it"],
    ['  --help', 'this text'],
  ];
  return [
    `Usage: job run ${slug} [flags]\n`,
    ...(description ? [`\n${description}\n`] : []),
    ...(flags ? [] : ['\nThe job exports no RequestBody that flags could be made from: its parameters are given with --body.\n']),
    `\n${table(['Flags:', ''], rows)}`,
  ].join('');
}

function shownFlag({ name, isSwitch, isList, choices, types }: JobFlag): string {
  if (isSwitch) return `--${name}, --no-${name}`;
  const value = choices ? choices.map(String).join('|') : typeNames(types);
  return `--${name} <${value}>${isList ? ' ...' : ''}`;
}

function describe({ field, name, description, isList, isRequired, default: fallback }: JobFlag): string {
  const notes = [
    ...(RESERVED.includes(name) ? ['only in --body'] : []),
    ...(isRequired ? ['required'] : []),
    ...(isList ? ['may be repeated'] : []),
    ...(fallback === undefined ? [] : [`default: ${JSON.stringify(fallback)}`]),
  ];
  return [description ?? field, ...(notes.length > 0 ? [`(${notes.join('; ')})`] : [])].join(' ');
}
