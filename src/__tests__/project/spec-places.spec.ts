import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

const SRC = path.resolve(__dirname, '../..');

/** Specs that are of no one folder: processes that are killed and connections that are cut off; what holds for the whole project. */
const OF_NO_FOLDER = ['faults', 'project'];

const under = (folder: string): string[] =>
  readdirSync(path.join(SRC, folder), { recursive: true, encoding: 'utf8' }).map((file) => file.split(path.sep).join('/'));

const sources = under('.').filter((file) => file.endsWith('.ts') && !file.includes('__tests__'));
const isSpec = (file: string) => file.endsWith('.spec.ts') && !file.startsWith('fixtures/');
/** Each by where its subject would be, below src. */
const mirrored = [...under('__tests__').filter(isSpec), ...under('jobs/__tests__').filter(isSpec).map((file) => `jobs/${file}`)].filter((file) => !OF_NO_FOLDER.includes(file.split('/')[0]!));

/** What is wrong with a spec's place, or undefined. */
function misplaced(spec: string): string | undefined {
  const folder = path.posix.dirname(spec);
  if (!existsSync(path.join(SRC, folder))) return `${spec}: there is no src/${folder}`;
  const subject = path.posix.basename(spec).replace('.spec.ts', '.ts');
  const namesakes = sources.filter((file) => path.posix.basename(file) === subject);
  if (namesakes.length === 0 || namesakes.some((file) => path.posix.dirname(file) === folder)) return undefined;
  return `${spec}: ${namesakes.join(' or ')} is elsewhere`;
}

describe('the place of a spec', () => {
  it('mirrors the place of the file that it is named after, or is the folder whose behaviour it tests', () => {
    expect(mirrored.length).toBeGreaterThan(80);
    // To mend: git mv the spec to src/__tests__/<folder of its subject>/<name of its subject>.spec.ts.
    expect(mirrored.map(misplaced).filter(Boolean)).toEqual([]);
  });

  it.each(['claim.spec.ts', 'lib/claim.spec.ts', 'nowhere/claim.spec.ts', 'runs/claim-row.spec.ts', 'jobs/printable.spec.ts'])('is not %s', (spec) => {
    expect(misplaced(spec)).toEqual(expect.any(String));
  });

  it.each(['cli.spec.ts', 'runs/claim.spec.ts', 'runs/records/claim-row.spec.ts', 'runs/some-behaviour.spec.ts', 'jobs/helpers/printable.spec.ts'])('may be %s', (spec) => {
    expect(misplaced(spec)).toBeUndefined();
  });
});
