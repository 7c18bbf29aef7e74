import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const SRC = path.resolve(__dirname, '../..');

interface Room {
  readonly name: string;
  readonly files: RegExp;
  /** The rooms that its files may import from, beside their own. */
  readonly imports: readonly string[];
  /** Its files may not even import each other. */
  readonly isApart?: true;
}

/**
 * docs/architecture.md as a table. A room may import from rooms below it alone. Rooms are folders; only the files that lie in src itself
 * are named. jobs/helpers.ts is a room too: its path is what job authors import, and everything may know it.
 */
const ROOMS: readonly Room[] = [
  { name: 'entry', files: /^(server|cli|dev)\.ts$/, imports: ['app', 'cli', 'lib'], isApart: true },
  { name: 'app', files: /^(app|service)\.ts$/, imports: ['routes', 'around', 'seed', 'runs', 'lib'] },
  { name: 'cli', files: /^cli\//, imports: ['seed', 'models', 'runs', 'records', 'lib', 'contract'] },
  { name: 'routes', files: /^handlers\/[^/]+$/, imports: ['around', 'models', 'runs', 'records', 'lib'] },
  { name: 'around', files: /^handlers\/(middleware|requests|answers)\//, imports: ['runs', 'records', 'lib'] },
  { name: 'jobs', files: /^jobs\/(?!helpers\.ts$)[^/]+$/, imports: ['parts of jobs', 'models', 'apis', 'lib', 'contract'], isApart: true },
  { name: 'parts of jobs', files: /^jobs\/(helpers|shared)\//, imports: ['models', 'apis', 'lib', 'contract'] },
  { name: 'seed', files: /^models\/seed\//, imports: ['models', 'lib'] },
  { name: 'models', files: /^models\/[^/]+$/, imports: ['runs', 'records', 'lib', 'contract'] },
  { name: 'migrations', files: /^models\/migrations\//, imports: [], isApart: true },
  { name: 'runs', files: /^runs\/[^/]+$/, imports: ['records', 'lib', 'contract'] },
  { name: 'records', files: /^runs\/records\//, imports: ['lib', 'contract'] },
  { name: 'apis', files: /^apis\//, imports: ['lib', 'contract'] },
  { name: 'lib', files: /^lib\//, imports: ['contract'] },
  { name: 'contract', files: /^jobs\/helpers\.ts$/, imports: [] },
];

const roomsOf = (file: string): readonly Room[] => ROOMS.filter(({ files }) => files.test(file));

function mayImport(file: string, target: string): boolean {
  const [from] = roomsOf(file);
  const [to] = roomsOf(target);
  if (!from || !to) return false;
  return from === to ? !from.isApart : from.imports.includes(to.name);
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !/__(tests|mocks)__/.test(file))
  .map((file) => file.split(path.sep).join('/'));

const textOf = (file: string): string => readFileSync(path.join(SRC, file), 'utf8');

/** What a text imports of this project's, as paths below src; also dynamically, and types alone. */
function importsIn(text: string, file: string): string[] {
  const found = text.matchAll(/\b(?:from|import|import\(|require\()\s*['"`]((?:\.{1,2}|@commons\/backend)\/[^'"`]+)['"`]/g);
  return [...found].map(([, specifier = '']) => {
    const target = specifier.startsWith('@commons/backend/')
      ? specifier.slice('@commons/backend/'.length)
      : path.posix.join(path.posix.dirname(file), specifier);
    return target.replace(/\.js$/, '.ts');
  });
}

const graph = new Map(files.map((file) => [file, importsIn(textOf(file), file)]));

/** One cycle below `file`, as a path of files, or undefined. */
function cycleFrom(file: string, trail: readonly string[], done: Set<string>, imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
  if (done.has(file)) return undefined;
  for (const next of imports.get(file) ?? []) {
    const cycle = cycleFrom(next, [...trail, file], done, imports);
    if (cycle) return cycle;
  }
  done.add(file);
  return undefined;
}

/** SQL, or a query of knex's, on a table of the runs. */
const USES_RUN_TABLES = /\b(?:from|into|update|join|truncate)\s+"?batch_job|\(\s*['"`]batch_job/i;
const NEEDS_ES_MODULES = /import\.meta|^(?:(?:export\s+)?(?:const|let)\s.*=\s*)?await\s/m;

describe('the architecture (docs/architecture.md)', () => {
  it('sees the imports it checks', () => {
    expect(graph.get('app.ts')).toContain('handlers/middleware/error-handler.ts');
    expect(graph.get('service.ts')).toContain('lib/database/migrate.ts');
    expect(graph.get('cli/program.ts')).toContain('cli/audit-command.ts');
    expect([...graph.values()].flat().filter((file) => !graph.has(file))).toEqual([]);
    const forms = `import a from './a.js';\nimport type { B } from "./b.js";\nimport './c.js';\nexport * from './d.js';\nawait import('./e.js');\nimport f from '@commons/backend/lib/f.js';\nimport {\n g,\n} from '../g.js';`;
    expect(importsIn(forms, 'runs/x.ts')).toEqual(['runs/a.ts', 'runs/b.ts', 'runs/c.ts', 'runs/d.ts', 'runs/e.ts', 'lib/f.ts', 'g.ts']);
  });

  it('gives every file one room, and every room its files', () => {
    // To mend: move the file to where its kind lives, or add a room to ROOMS and to docs/architecture.md.
    expect(files.filter((file) => roomsOf(file).length !== 1)).toEqual([]);
    expect(ROOMS.filter((room) => !files.some((file) => room.files.test(file)))).toEqual([]);
  });

  it('has rooms that import downward only', () => {
    const upward = ROOMS.flatMap(({ name, imports }, place) => imports.filter((each) => ROOMS.findIndex((room) => room.name === each) <= place).map((each) => `${name} -> ${each}`));
    expect(upward).toEqual([]);
  });

  it('is drawn as it is', () => {
    const drawing = /```mermaid\n([^`]*)```/.exec(readFileSync(path.join(SRC, '../docs/architecture.md'), 'utf8'))?.[1] ?? '';
    const arrows = [...drawing.matchAll(/^ *(\w+)(?:\[[^\]]*\])? --> (\w+)/gm)].map(([, from = '', to = '']) => ({ from, to }));
    expect(arrows.length).toBeGreaterThan(10);
    expect(arrows.filter(({ from, to }) => !ROOMS.find(({ name }) => name === from)?.imports.includes(to))).toEqual([]);
    // And whatever a room that is drawn may import is reached by the arrows.
    const drawn = new Set(arrows.flatMap(({ from, to }) => [from, to]));
    const reaches = (from: string, to: string): boolean => arrows.some((arrow) => arrow.from === from && (arrow.to === to || reaches(arrow.to, to)));
    const hidden = ROOMS.filter(({ name }) => drawn.has(name)).flatMap(({ name, imports }) => imports.filter((to) => drawn.has(to) && !reaches(name, to)).map((to) => `${name} --> ${to}`));
    expect(hidden).toEqual([]);
  });

  it('has files that import only what their room may', () => {
    const wrong = [...graph].flatMap(([file, imports]) => imports.filter((target) => !mayImport(file, target)).map((target) => `${file} -> ${target}`));
    // To mend: move what is shared down into a room that both may import, or hand it in as an argument from above.
    // What two jobs share goes into jobs/helpers/ or jobs/shared/.
    expect(wrong).toEqual([]);
  });

  it.each([
    ['a job', 'jobs/some-job.ts', ['runs/run-job.ts', 'runs/records/history.ts', 'handlers/run-handlers.ts', 'jobs/cache-zip-codes.ts', 'cli/program.ts', 'app.ts', 'models/seed/seed-database.ts']],
    ["a job's helper", 'jobs/helpers/some.ts', ['runs/run-job.ts', 'runs/records/history.ts', 'handlers/run-handlers.ts', 'jobs/cache-zip-codes.ts']],
    ['what jobs share', 'jobs/shared/some.ts', ['runs/run-job.ts', 'runs/records/history.ts', 'handlers/run-handlers.ts', 'jobs/cache-zip-codes.ts']],
    ['the contract', 'jobs/helpers.ts', ['lib/run-scope.ts', 'models/user.ts', 'runs/run-job.ts']],
    ['a migration', 'models/migrations/some.ts', ['lib/knex.ts', 'models/tables.ts', 'jobs/helpers.ts', 'models/migrations/20261123000200_zip_code.ts']],
    ['a record', 'runs/records/some.ts', ['runs/run-job.ts', 'runs/active-run.ts', 'models/batch-job-run.ts', 'apis/bigquery/bigquery-client.ts']],
    ['a run', 'runs/some.ts', ['models/batch-job-run.ts', 'handlers/run-handlers.ts', 'jobs/cache-zip-codes.ts', 'apis/bigquery/bigquery-client.ts', 'cli/program.ts']],
    ['middleware', 'handlers/middleware/some.ts', ['handlers/run-handlers.ts', 'models/batch-job-run.ts', 'app.ts']],
    ['a reader of requests', 'handlers/requests/some.ts', ['handlers/run-handlers.ts']],
    ['an answer', 'handlers/answers/some.ts', ['handlers/run-handlers.ts']],
    ['a route', 'handlers/some.ts', ['app.ts', 'service.ts', 'cli/program.ts', 'jobs/cache-zip-codes.ts']],
    ['a command', 'cli/some.ts', ['app.ts', 'service.ts', 'handlers/run-handlers.ts', 'jobs/cache-zip-codes.ts']],
    ['the app', 'app.ts', ['server.ts', 'cli/program.ts', 'jobs/cache-zip-codes.ts']],
    ['an entry file', 'server.ts', ['cli.ts', 'runs/run-job.ts']],
    ['a model', 'models/some.ts', ['handlers/run-handlers.ts', 'models/seed/seed-database.ts', 'models/migrations/20261123000200_zip_code.ts', 'jobs/cache-zip-codes.ts']],
    ['an api', 'apis/some/some.ts', ['models/user.ts', 'runs/run-job.ts', 'runs/records/history.ts']],
    ['the library', 'lib/some.ts', ['models/user.ts', 'runs/run-job.ts', 'runs/records/history.ts', 'apis/bigquery/bigquery-client.ts', 'jobs/cache-zip-codes.ts', 'jobs/shared/helpers.ts']],
  ])('refuses %s that imports what is above it', (_who, file, targets) => {
    expect(targets.filter((target) => !graph.has(target))).toEqual([]);
    expect(targets.filter((target) => mayImport(file, target))).toEqual([]);
  });

  it('has no cycle', () => {
    const done = new Set<string>();
    const cycles = files.map((file) => cycleFrom(file, [], done, graph)?.join(' -> ')).filter(Boolean);
    // To mend: move what both need into a file of its own below them.
    expect(cycles).toEqual([]);
    expect(cycleFrom('a', [], new Set(), new Map([['a', ['b', 'c']], ['b', []], ['c', ['d']], ['d', ['c']]]))).toEqual(['c', 'd', 'c']);
  });

  it('keeps import.meta and a top-level await to the entry files, since Jest runs the rest as CommonJS', () => {
    const isEntry = ROOMS[0]!.files;
    expect(files.filter((file) => !isEntry.test(file) && NEEDS_ES_MODULES.test(textOf(file)))).toEqual([]);
    const texts = ['const a = import.meta.url;', 'await main();', 'const a = await main();', 'export const a = await main();'];
    expect(texts.filter((text) => !NEEDS_ES_MODULES.test(text))).toEqual([]);
  });

  it("keeps all SQL on the runs' tables in runs/records", () => {
    const hasSql = (file: string) => /^(runs\/records|models\/migrations)\//.test(file);
    expect(files.filter((file) => !hasSql(file) && USES_RUN_TABLES.test(textOf(file)))).toEqual([]);
    const texts = ['select id from batch_job_run', 'update "batch_job"', "knex('batch_job_run')", 'trx<Row>("batch_job")', 'q.join(`batch_job_run_log as l`)'];
    expect(texts.filter((text) => !USES_RUN_TABLES.test(text))).toEqual([]);
  });
});
