import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../../..');

/** What documents have a reader make: no such file may exist. */
const MADE_BY_READERS = [
  'jobs/backfill-patient-phones.ts', 'jobs/__tests__/backfill-patient-phones.spec.ts', 'jobs/update-task-titles.ts', 'jobs/__tests__/update-task-titles.spec.ts',
  'other-jobs/cache-rooms.ts', 'migrations/20261123222826_add_zip_code.ts',
];

const FILES = ['src', 'bench', '.ci']
  .flatMap((folder) => readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => path.posix.join(folder, file)))
  .concat(readdirSync(ROOT));

/** Without addresses of the web, which may end like files. */
const withoutAddresses = (line: string): string => line.replace(/https?:\/\/[^\s)>`]+/g, '');

/** A name such as `runs/claim.ts`, `claim.ts`, `@commons/backend/runs/claim.js`, `dist/cli.js`; `*` and `<slug>` stand for anything. */
const FILE = /(?<![\w@./<>*-])(?:@commons\/backend\/|\.{1,2}\/)*[a-z_<*][\w.<>*-]*(?:\/[\w.<>*-]+)*\.(?:ts|mjs|js)\b(?![\w/])/g;
const FOLDER = /`((?:src\/)?(?:apis|cli|handlers|jobs|lib|models|runs)(?:\/[\w-]+)*\/?|src\/[\w/-]+)`/g;

const foldersIn = (line: string): string[] => [...line.matchAll(FOLDER)].map(([, folder = '']) => folder.replace(/\/$/, '')).filter((name) => !/^(?:cli|jobs|lib)$/.test(name));

/** Where the sources are in the repository: what is built is named by what it is built of, and a name below src may leave src out. */
function placesOf(name: string, folder: string): string[] {
  const own = name.replace(/^@commons\/backend\//, 'src/').replace(/^dist\//, 'src/').replace(/\.js$/, '.ts');
  return own.startsWith('src/') ? [own] : [own, `src/${own}`, path.posix.join(folder, own)];
}

const exists = (place: string): boolean => {
  if (!/[<*]/.test(place)) return FILES.includes(place);
  const pattern = new RegExp(`^${place.split(/<[^>]*>|\*/).map((part) => part.replace(/[.+?^$()|[\]\\]/g, '\\$&')).join('[^/]+')}$`);
  return FILES.some((file) => pattern.test(file));
};

/** The folders that a line has named, of files too: there its names without a folder are looked for. */
const foldersNamed = (line: string, names: readonly string[]): string[] => [...foldersIn(line), ...names.filter((name) => name.includes('/')).map((name) => path.posix.dirname(name))];

function isWrong(name: string, line: string, names: readonly string[], folder: string): boolean {
  if (MADE_BY_READERS.some((made) => placesOf(name, folder).some((place) => place.endsWith(made)))) return false;
  if (placesOf(name, folder).some(exists)) return false;
  if (name.includes('/')) return true;
  const known = name.endsWith('.spec.ts') ? [] : foldersNamed(line, names);
  if (known.length > 0) return !known.some((each) => placesOf(`${each}/${name}`, folder).some(exists));
  return !FILES.some((file) => path.posix.basename(file) === name);
}

/** A name that ends in .js and has no folder is a package's, such as big.js. */
const namesIn = (line: string): string[] => [...withoutAddresses(line).matchAll(FILE)].map(([name]) => name).filter((name) => name.includes('/') || !name.endsWith('.js'));

/**
 * The names of source files and folders in a document that are none. A name without a folder is of a folder that its line names, or, where
 * the line names none, of any; a spec is of any.
 * @param folder where the document is, from the repository's root
 */
export function wrongNames(document: string, folder: string): string[] {
  return document.split('\n').flatMap((line) => {
    const names = namesIn(line);
    const folders = foldersIn(line).filter((name) => !['', 'src/', `${folder}/`].some((above) => existsSync(path.join(ROOT, above, name))));
    return [...names.filter((name) => isWrong(name, line, names, folder)), ...folders];
  });
}

/** The source files that a text names, from src, in their order. */
export const namedSources = (text: string): string[] => text.split('\n').flatMap(namesIn).filter((name) => FILES.includes(`src/${name}`));

/** Files that a reader makes and that are here all the same. */
export const madeAlready = (): string[] => MADE_BY_READERS.filter((made) => FILES.some((file) => file.endsWith(`/${made}`)));
