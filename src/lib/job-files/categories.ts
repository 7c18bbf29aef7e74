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

export const isCategory = (text: string): text is JobCategory => Object.hasOwn(JOB_CATEGORIES, text);

/** The category of a job's name, which goes on behind the prefix; undefined when it has none. */
export function categoryOf(slug: string): JobCategory | undefined {
  const [, prefix = ''] = /^([a-z]+)-./.exec(slug) ?? [];
  return isCategory(prefix) ? prefix : undefined;
}

/** Every category on a line of its own, for help and messages. */
export const categoryList = (): string =>
  Object.entries(JOB_CATEGORIES).map(([name, sentence]) => `  ${`${name}-`.padEnd(10)} ${sentence}`).join('\n');
