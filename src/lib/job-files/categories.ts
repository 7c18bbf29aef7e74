/** The kinds of jobs, in one sentence each. A job's name begins with its kind, so that the folder sorts and reads by what jobs do. */
export const JOB_CATEGORIES = {
  backfill: 'Fills a column of rows that were written before it was.',
  cache: 'Copies what another system or a file knows into a table of ours.',
  export: 'Hands data on as a file.',
  bulk: 'Does one thing to a list of ids that somebody asked for.',
  sync: 'Brings two systems to the same state, and reports where they contradict each other.',
  create: 'Makes records from a list, the same ones however often it is called.',
  delete: 'Soft-deletes rows that a rule says are no longer wanted.',
  update: 'Changes rows by a rule, in one statement.',
  start: 'Starts a process for everyone who is due for it and has none yet.',
  cleanup: 'Removes what nobody needs: duplicates, remains, old rows.',
  cancel: 'Ends what is open and has no future, with a reason.',
} as const;

export type JobCategory = keyof typeof JOB_CATEGORIES;

/** Other words for a category, which are as good in a job's name. */
const ALIASES: ReadonlyMap<string, JobCategory> = new Map([['workflow', 'start']]);

/** The category that a word names, with or without its hyphen; undefined where it names none. */
export function categoryNamed(word: string): JobCategory | undefined {
  const name = word.replace(/-$/, '');
  return Object.hasOwn(JOB_CATEGORIES, name) ? (name as JobCategory) : ALIASES.get(name);
}

/** The category of a job's name, which goes on behind the prefix; undefined when it has none. */
export function categoryOf(slug: string): JobCategory | undefined {
  const [, prefix = ''] = /^([a-z]+)-./.exec(slug) ?? [];
  return categoryNamed(prefix);
}

/** Every category on a line of its own, for help and messages. */
export const categoryList = (): string =>
  Object.entries(JOB_CATEGORIES).map(([name, sentence]) => `  ${`${name}-`.padEnd(10)} ${sentence}${aliasesOf(name)}`).join('\n');

function aliasesOf(category: string): string {
  const aliases = [...ALIASES].filter(([, of]) => of === category).map(([alias]) => `${alias}-`);
  return aliases.length > 0 ? ` Also ${aliases.join(', ')}.` : '';
}
