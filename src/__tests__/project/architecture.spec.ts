import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const SRC = path.resolve(__dirname, '../..');

/** Highest first. A file may import from its own row and from those below it. */
const LAYERS: readonly { name: string; files: RegExp }[] = [
  { name: 'entry', files: /^(server|cli|dev)\.ts$/ },
  { name: 'app', files: /^(app|service)\.ts$|^cli\// },
  { name: 'handlers', files: /^handlers\// },
  { name: 'door', files: /^lib\/(run-job|restart-run|rehearse|reaper)\.ts$/ },
  { name: 'models', files: /^models\/(?!migrations\/)/ },
  { name: 'apis', files: /^apis\// },
  { name: 'leaves', files: /^lib\/|^jobs\/helpers\.ts$/ },
];

const isJob = (file: string) => /^jobs\/[^/]+\.ts$/.test(file) && file !== 'jobs/helpers.ts';
const isJobHelper = (file: string) => /^jobs\/(helpers|shared)\//.test(file);
const isMigration = (file: string) => file.startsWith('models/migrations/');
const layerOf = (file: string) => LAYERS.findIndex(({ files }) => files.test(file));

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.includes('__tests__'))
  .map((file) => file.split(path.sep).join('/'));

/** What a file imports of this project's, as paths below src. */
function importsOf(file: string): string[] {
  const text = readFileSync(path.join(SRC, file), 'utf8');
  const found = text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'((?:\.{1,2}|@commons\/backend)\/[^']+)'/g);
  return [...found].map(([, specifier = '']) => {
    const target = specifier.startsWith('@commons/backend/')
      ? specifier.slice('@commons/backend/'.length)
      : path.posix.join(path.posix.dirname(file), specifier);
    return target.replace(/\.js$/, '.ts');
  });
}

const graph = new Map(files.map((file) => [file, importsOf(file)]));

/** One cycle below `file`, as a path of files, or undefined. */
function cycleFrom(file: string, trail: readonly string[], done: Set<string>): string[] | undefined {
  if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
  if (done.has(file)) return undefined;
  for (const next of graph.get(file) ?? []) {
    const cycle = cycleFrom(next, [...trail, file], done);
    if (cycle) return cycle;
  }
  done.add(file);
  return undefined;
}

describe('the architecture (docs/architecture.md)', () => {
  it('sees the imports it checks', () => {
    expect(graph.get('app.ts')).toContain('handlers/middleware/error-handler.ts');
    expect(graph.get('service.ts')).toContain('lib/database/migrate.ts');
    expect([...graph.values()].flat().filter((file) => !graph.has(file))).toEqual([]);
  });

  it('gives every file a place', () => {
    const homeless = files.filter((file) => layerOf(file) < 0 && !isJob(file) && !isJobHelper(file) && !isMigration(file));
    // To mend: move the file to where its kind lives, or add a row to LAYERS and to docs/architecture.md.
    expect(homeless).toEqual([]);
  });

  it('has imports that point downward only', () => {
    const upward = files
      .filter((file) => layerOf(file) >= 0)
      .flatMap((file) => importsOf(file).filter((target) => layerOf(target) >= 0 && layerOf(target) < layerOf(file)).map((target) => `${file} -> ${target}`));
    // To mend: move what is shared down into a leaf of lib, or hand it in as an argument from above.
    expect(upward).toEqual([]);
  });

  it('lets jobs import the contract, lib, apis and models, and nobody import a job', () => {
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => isJob(target) || ((isJob(file) || isJobHelper(file)) && !isJobHelper(target) && layerOf(target) < layerOf('models/batch-job-run.ts')))
        .map((target) => `${file} -> ${target}`),
    );
    // To mend: put what two jobs share into jobs/helpers/ or jobs/shared/.
    expect(wrong).toEqual([]);
  });

  it('has no cycle', () => {
    const done = new Set<string>();
    const cycles = files.map((file) => cycleFrom(file, [], done)?.join(' -> ')).filter(Boolean);
    // To mend: move what both need into a file of its own below them.
    expect(cycles).toEqual([]);
  });

  it('has migrations that import nothing of the project, since what they did must not change later', () => {
    expect(files.filter(isMigration).filter((file) => importsOf(file).length > 0)).toEqual([]);
  });

  it('keeps import.meta and a top-level await to the entry files, since Jest runs the rest as CommonJS', () => {
    const wrong = files.filter((file) => layerOf(file) !== 0 && /import\.meta|^await |^const .*= await /m.test(readFileSync(path.join(SRC, file), 'utf8')));
    expect(wrong).toEqual([]);
  });

  it('keeps all SQL on the runs\' tables in the models', () => {
    const wrong = files.filter((file) => !file.startsWith('models/') && /\b(from|into|update|join)\s+"?batch_job/i.test(readFileSync(path.join(SRC, file), 'utf8')));
    expect(wrong).toEqual([]);
  });
});
