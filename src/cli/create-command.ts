import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { jobFolderOf, type SourceTree } from '../lib/job-files/source-tree.js';
import { CliError } from './cli-error.js';
import { readJobName } from './job-name.js';
import { withHandle } from './handle-form.js';
import { fillTemplate, type JobFiles, templateSlug } from './job-templates.js';
import { note, writeResult } from './result-stream.js';

export interface CreateOptions {
  readonly table?: string;
  readonly column?: string;
  readonly forceName?: boolean;
  /** A job that parses its body itself, as older ones do, and not by handle(). */
  readonly house?: boolean;
}

/** Writes a job and its spec from its category's template, and prints their paths. It asks when no name was given and somebody is there. */
export async function createCommand(source: SourceTree, given: readonly string[], givenOptions: CreateOptions): Promise<void> {
  const templates = path.join(source.root, '__tests__/fixtures/templates');
  if (!existsSync(templates)) throw new CliError('a job is made in the source, and this is the build. In a checkout: npm run -s job -- create <category> <name>');
  const { words, ...options } = given.length > 0 ? { words: given, ...givenOptions } : { ...givenOptions, ...(await ask()) };
  const { slug, category } = readJobName(words, options.forceName ?? false);
  const { folder } = jobFolderOf(source);
  const filled = fillTemplate(source.root, await readTemplate(templates, templateSlug(category)), { ...options, slug, category, module: moduleName(source.root, folder, slug) });
  const files = options.house ? filled : withHandle(filled);
  const written = await writeBoth(folder, slug, files);
  writeResult(written.map((file) => `${path.relative('', file)}\n`).join(''));
  note(`Now put your rule in, and what the spec should know of it. Then:\n  npx jest ${slug}\n  npm run -s job -- run ${slug} --help\n  npm run -s job -- check`);
}

async function ask(): Promise<{ words: readonly string[]; table?: string; column?: string }> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new CliError('create takes a name: create backfill patient-phones. In a terminal it asks for one');
  return (await import('./ask-for-job.js')).askForJob(process.stdin, process.stderr);
}

async function readTemplate(folder: string, slug: string): Promise<JobFiles> {
  const read = (file: string) => readFile(path.join(folder, file), 'utf8');
  const [job, spec] = await Promise.all([read(`${slug}.ts`), read(`__tests__/${slug}.spec.ts`)]);
  return { job, spec };
}

/** By the package's own name, as jobs are imported; a folder outside the source has none. */
function moduleName(root: string, folder: string, slug: string): string {
  const below = path.relative(root, folder);
  const isOutside = below.startsWith('..') || path.isAbsolute(below);
  return isOutside ? `../${slug}.js` : `@commons/backend/${below.split(path.sep).join('/')}/${slug}.js`;
}

/** Both, or neither; never over a file that is there. @returns their paths */
async function writeBoth(folder: string, slug: string, { job, spec }: JobFiles): Promise<string[]> {
  const files = [[path.join(folder, `${slug}.ts`), job], [path.join(folder, '__tests__', `${slug}.spec.ts`), spec]] as const;
  const other = ['js', 'mts', 'cts', 'mjs', 'cjs', 'tsx', 'jsx'].map((extension) => path.join(folder, `${slug}.${extension}`)).find((file) => existsSync(file));
  if (other) throw new CliError(`there is a job ${slug} already: ${other}`);
  const made: string[] = [];
  try {
    await mkdir(path.join(folder, '__tests__'), { recursive: true });
    for (const [file, text] of files) {
      await writeFile(file, '', { flag: 'wx' });
      made.push(file);
      await writeFile(file, text);
    }
  } catch (error) {
    for (const file of made) await rm(file, { force: true });
    throw new CliError((error as NodeJS.ErrnoException).code === 'EEXIST' ? `there is a file already, and nothing was written: ${(error as NodeJS.ErrnoException).path}` : `nothing was written: ${(error as Error).message}`, { cause: error });
  }
  return made;
}
