import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

// How to run, in a process of its own, a file of src: from the build that build-for-processes.ts has made for this run of Jest.

const ROOT = path.resolve(__dirname, '../../..');
const SOURCE = path.join(ROOT, 'src');

/** The root of the package that was built: where `import('@commons/backend/...')` finds the build. @throws {Error} outside Jest */
export function buildRoot(): string {
  const folder = process.env.TEST_BUILD;
  if (!folder) throw new Error('There is no build: start-test-postgres.ts did not run before');
  return folder;
}

/** Where the build has a file or a folder of src: an absolute path, or one from the repository's root, such as src/cli.ts. */
export const built = (file: string): string => path.join(buildRoot(), 'dist', path.relative(SOURCE, path.resolve(ROOT, file)).replace(/\.ts$/, '.js'));

const FLAGS = ['--enable-source-maps', '-C', 'dist'];

/** What to give to `node` to run a file of src, as `npm start` runs the build: src/cli.ts, with its arguments. */
export const builtProgram = (file: string, ...args: readonly string[]): string[] => [...FLAGS, built(file), ...args];

/** The same of a script, an ES module; run it in `buildRoot()`. */
export const builtScript = (script: string, ...args: readonly string[]): string[] => [...FLAGS, '--input-type=module', '--eval', script, ...args];

/** What to give to `node` to run a file of src as `npm run dev` does, by tsx: for jobs that a test has written in TypeScript. */
const sourceProgram = (file: string, ...args: readonly string[]): string[] => ['--import', 'tsx', path.resolve(ROOT, file), ...args];

/**
 * How to run the service or the command line over a folder of jobs: JOBS_FOLDER, and what to give to `node`. A folder of src is
 * run as the build has it. One in which a test writes TypeScript is run from the source.
 * @param jobsFolder empty for the service's own jobs
 */
export function programOver(jobsFolder: string, file: string, ...args: readonly string[]): { jobsFolder: string; args: string[] } {
  if (jobsFolder === '') return { jobsFolder, args: builtProgram(file, ...args) };
  const ofBuild = path.resolve(jobsFolder).startsWith(SOURCE + path.sep) ? built(jobsFolder) : jobsFolder;
  if (existsSync(ofBuild) && !hasTypeScript(ofBuild)) return { jobsFolder: ofBuild, args: builtProgram(file, ...args) };
  return { jobsFolder, args: sourceProgram(file, ...args) };
}

const hasTypeScript = (folder: string): boolean => readdirSync(folder).some((file) => file.endsWith('.ts'));
