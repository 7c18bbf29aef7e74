import { categoryList, categoryOf, type JobCategory } from '../lib/job-files/categories.js';
import { isSlug } from '../lib/job-files/registry.js';
import { CliError } from './cli-error.js';
import { categoryNamed } from './job-templates.js';

export interface JobName {
  readonly slug: string;
  readonly category: JobCategory | undefined;
}

/**
 * The name in `backfill patient-phones`, or in `backfill-patient-phones`.
 * @param isForced a name that begins with no category's prefix may pass
 * @throws {CliError} for one that is no job's name, saying what is
 */
export function readJobName(words: readonly string[], isForced: boolean): JobName {
  const [first = '', second, ...more] = words;
  if (more.length > 0) throw new CliError(`a job's name is one word, with hyphens in it: ${words.slice(1).join('-')}?`);
  const named = categoryNamed(first);
  if (second === undefined && named) throw new CliError(`${named}- what? Write: create ${named} patient-phones`);
  if (second !== undefined && !named && !isForced) throw new CliError(noCategory(first));
  const slug = second === undefined ? first : second.startsWith(`${named ?? first}-`) ? second : `${named ?? first}-${second}`;
  checkSlug(slug);
  const category = categoryOf(slug);
  if (!category && !isForced) throw new CliError(noCategory(slug));
  return { slug, category };
}

/** Two words at least, so that the function's name, which is made from it, is no reserved word. */
function checkSlug(slug: string): void {
  if (!isSlug(slug)) throw new CliError(`${JSON.stringify(slug)} is no job's name: write it in kebab-case (a-z, 0-9 and single hyphens), 100 characters at most`);
  if (!/^[a-z]/.test(slug) || !slug.includes('-')) throw new CliError(`${JSON.stringify(slug)} is no job's name: it takes two words, and a letter first, such as backfill-patient-phones`);
}

const noCategory = (text: string): string =>
  `${JSON.stringify(text)} begins with no category's prefix. There are:\n${categoryList()}\n--force-name lets it pass, with the plain template. Then \`check\` names it.`;
