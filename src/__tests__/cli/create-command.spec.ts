import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { checkCommand } from '@commons/backend/cli/check-command.js';
import { createCommand, type CreateOptions } from '@commons/backend/cli/create-command.js';
import { categoryOf, JOB_CATEGORIES } from '@commons/backend/lib/job-files/categories.js';
import { checkConventions } from '@commons/backend/lib/job-files/conventions.js';

jest.mock('@commons/backend/cli/result-stream.js');

const ROOT = path.resolve(__dirname, '../../..');
/** Each category twice, and those that are there for one reason. */
const MADE = 2 * 11 + 9;
const CATEGORIES = Object.keys(JOB_CATEGORIES);

let checkout: string;

/** A checkout of its own, so that what is made in it resolves the package's name as it would in this one. */
beforeAll(() => {
  checkout = realpathSync(mkdtempSync(path.join(tmpdir(), 'create-spec-')));
  for (const file of ['package.json', 'tsconfig.json', 'jest.config.ts', '.oxlintrc.json']) cpSync(path.join(ROOT, file), path.join(checkout, file));
  for (const folder of ['lib', 'runs', 'models', 'apis', 'cli', 'jobs/helpers', 'jobs/shared', 'jobs/helpers.ts', 'cli.ts', '__tests__/helpers', '__tests__/fixtures/templates']) {
    cpSync(path.join(ROOT, 'src', folder), path.join(checkout, 'src', folder), { recursive: true });
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(checkout, 'node_modules'));
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

const source = () => ({ root: path.join(checkout, 'src'), importFile: (file: string) => import(file) });
const create = (name: string, options: CreateOptions = {}) => createCommand(source(), name.split(' '), options);
const jobs = () => path.join(checkout, 'src/jobs');
const read = (file: string) => readFileSync(path.join(jobs(), file), 'utf8');

/** Ends with the exit code and all that it printed. */
const ran = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  promisify(execFile)(process.execPath, args, { cwd: checkout, env: { ...process.env, NO_COLOR: '1', ...env }, maxBuffer: 1e8 })
    .then(({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }), (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, output: error.stdout + error.stderr }));

const ranSource = (file: string, ...args: string[]) => ran(['--import', 'tsx', file, ...args]);
const cli = (...args: string[]) => ranSource('src/cli.ts', ...args);

describe('what create writes', () => {
  beforeAll(async () => {
    for (const category of CATEGORIES) {
      await create(`${category} new-things`);
      await create(`${category}-plan-goals`, { table: 'care_plan', column: 'goalText', house: true });
    }
    // Words of the language, and the template's own names the other way round.
    await create('update reserved-words', { table: 'order', column: 'default' });
    await create('backfill phone-patients', { table: 'phone', column: 'patient' });
    await create('my-own-thing', { forceName: true });
    // Another word for start.
    await create('workflow intake-calls');
    // Tables that have a factory, and a column that it can fill as the spec wants; and one with which it cannot.
    await create('backfill patient-emails', { table: 'patient', column: 'email' });
    await create('export delete-reasons', { table: 'task', column: 'deleteReason', house: true });
    await create('bulk patient-phones', { table: 'patient', column: 'phone' });
    await create('backfill zip-codes', { table: 'patient', column: 'zipCode' });
    // As a job that says its tag once would be written.
    await create('delete scoped-rows');
    const scoped = read('delete-scoped-rows.ts')
      .replace(/^const TAG = .*;\n/m, (line) => `${line}const log = logger.createScopedLogger({ tag: TAG });\n`)
      .replaceAll(/logger\.log\((.*?), TAG, /g, 'log.info($1, ');
    writeFileSync(path.join(jobs(), 'delete-scoped-rows.ts'), scoped);
  });

  const made = () => readdirSync(jobs()).filter((file) => file.endsWith('.ts') && file !== 'helpers.ts');

  it('keeps the conventions, for each of the eleven categories', () => {
    expect(made()).toHaveLength(MADE);
    expect(checkConventions(jobs()).findings.map(({ file, rule }) => [file, rule])).toEqual([['my-own-thing.ts', 'prefix']]);
  });

  it('passes the linter and the type check unchanged', async () => {
    const files = made().flatMap((file) => [`src/jobs/${file}`, `src/jobs/__tests__/${file.replace('.ts', '.spec.ts')}`]);
    expect(await ran(['node_modules/oxlint/bin/oxlint', ...files])).toEqual({ code: 0, output: expect.stringContaining('0 warnings and 0 errors') });
    // It would see a fault.
    writeFileSync(path.join(checkout, 'src/faulty.ts'), 'export const n: number = "x";\n');
    expect(await ran(['node_modules/oxlint/bin/oxlint', 'src/faulty.ts'])).toEqual({ code: 1, output: expect.stringContaining('TS2322') });
  }, 120_000);

  it('passes its own test unchanged, on tables of any name', async () => {
    const { JEST_WORKER_ID: _worker, TEST_POSTGRES_RUN: _run, DATABASE_URL: _url, ...env } = process.env;
    // In one process: each worker would transpile all of it anew.
    const jest = spawn(process.execPath, [path.join(checkout, 'node_modules/jest/bin/jest.js'), 'src/jobs', '--json', '--runInBand'], {
      cwd: checkout, env: { ...env, TEST_DATABASE_URL: process.env.TEST_POSTGRES_URL }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    jest.stdout.on('data', (part: Buffer) => (stdout += part.toString()));
    jest.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
    await new Promise((resolve) => jest.once('close', resolve));
    if (!stdout.startsWith('{')) throw new Error(`jest did not run: ${stderr}`);
    const report = JSON.parse(stdout) as { testResults: { name: string; status: string; message: string }[] };
    expect(report.testResults.filter(({ status }) => status !== 'passed').map(({ name, message }) => `${name}\n${message}`)).toEqual([]);
    const tried = report.testResults.map(({ name }) => path.basename(name, '.spec.ts'));
    expect(new Set(tried)).toEqual(new Set(made().map((file) => path.basename(file, '.ts'))));
    expect(tried).toHaveLength(MADE);
  }, 180_000);

  it('uses the factory of a table that has one, where that makes what the spec needs, and else says why not', () => {
    const spec = (slug: string) => read(`__tests__/${slug}.spec.ts`);
    for (const [slug, factory] of [['backfill-patient-emails', 'patient'], ['export-delete-reasons', 'task'], ['bulk-patient-phones', 'patient'], ['backfill-zip-codes', undefined]] as const) {
      if (factory) expect(spec(slug)).toContain(`import { ${factory}Factory } from '@commons/backend/__tests__/helpers/factories/${factory}-factory.js';`);
      expect(spec(slug).includes('standInTable')).toBe(!factory);
    }
    expect(spec('backfill-zip-codes')).toContain('(zipCode may not have any value, as the migrations have it)');
    expect(spec('backfill-plan-goals')).toContain('(it has no factory)');
    expect(read('delete-scoped-rows.ts')).toMatch(/log\.info\('Deleting/);
  });

  it('has the names that were asked for, and nothing of the template', () => {
    for (const file of made()) {
      const slug = file.replace('.ts', '');
      for (const text of [read(file), read(`__tests__/${slug}.spec.ts`)]) expect(text).not.toMatch(/template/i);
      expect(read(file)).toContain(`const TAG = '${slug}';`);
      if (slug.endsWith('plan-goals')) expect(read(file)).toMatch(/'care_plan'/);
      expect(read(`__tests__/${slug}.spec.ts`)).toContain(`from '@commons/backend/jobs/${slug}.js';`);
    }
    expect(read('backfill-phone-patients.ts')).toContain("knex('phone').whereNull('patient')");
  });
});

describe('create', () => {
  it.each<[string, CreateOptions, RegExp]>([
    ['backfill Patient_Phones', {}, /"backfill-Patient_Phones" is no job's name: write it in kebab-case/],
    ['backfill ../evil', {}, /is no job's name/],
    [`backfill ${'x'.repeat(100)}`, {}, /100 characters at most/],
    ['backfill', {}, /backfill- what\?/],
    ['backfill patient phones', {}, /one word, with hyphens in it: patient-phones\?/],
    ['move patient-phones', {}, /"move" begins with no category's prefix[^]*backfill- [^]*cancel- [^]*--force-name/],
    ['patient-phones', {}, /"patient-phones" begins with no category's prefix/],
    ['backfilling-phones', {}, /begins with no category's prefix/],
    ['import', { forceName: true }, /takes two words/],
    ['2-things', { forceName: true }, /a letter first/],
    ['my-other-thing', { forceName: true, table: 'task' }, /the plain template works on no table/],
    ['backfill phones', { table: 'patient; drop table patient' }, /--table .* is no table's name/],
    ['backfill phones', { column: "x'" }, /--column .* is no column's name/],
    ['backfill phones', { column: 'updatedBy' }, /uses the column updatedBy for something else/],
    ['start phones', { table: 'patient' }, /uses the table patient besides/],
  ])('refuses %s %p', async (name, options, message) => {
    const before = readdirSync(jobs(), { recursive: true });
    await expect(create(name, options)).rejects.toThrow(message);
    expect(readdirSync(jobs(), { recursive: true })).toEqual(before);
  });

  it('never writes over a file, and leaves neither where it cannot write both', async () => {
    mkdirSync(path.join(jobs(), '__tests__'), { recursive: true });
    writeFileSync(path.join(jobs(), '__tests__/sync-kept-specs.spec.ts'), 'mine');
    await expect(create('sync kept-specs')).rejects.toThrow(/there is a file already, and nothing was written: .*sync-kept-specs\.spec\.ts/);
    expect(existsSync(path.join(jobs(), 'sync-kept-specs.ts'))).toBe(false);
    expect(read('__tests__/sync-kept-specs.spec.ts')).toBe('mine');
    writeFileSync(path.join(jobs(), 'sync-kept-jobs.ts'), 'mine');
    await expect(create('sync kept-jobs')).rejects.toThrow(/nothing was written: .*sync-kept-jobs\.ts/);
    expect(read('sync-kept-jobs.ts')).toBe('mine');
    expect(existsSync(path.join(jobs(), '__tests__/sync-kept-jobs.spec.ts'))).toBe(false);
    writeFileSync(path.join(jobs(), 'sync-plain-jobs.js'), 'mine');
    await expect(create('sync plain-jobs')).rejects.toThrow('there is a job sync-plain-jobs already');
  });

  it('says where it works, in the build', async () => {
    await expect(createCommand({ ...source(), root: path.join(checkout, 'dist') }, ['backfill', 'x'], {})).rejects.toThrow('this is the build');
  });

  it('takes a name in one word, in two, and with its prefix twice', async () => {
    for (const name of ['export-a-b', 'export c-d', 'export export-e-f', 'export- g-h']) await create(name);
    expect(readdirSync(jobs()).filter((file) => /^export-.-.\.ts$/.test(file))).toEqual(['export-a-b.ts', 'export-c-d.ts', 'export-e-f.ts', 'export-g-h.ts']);
    expect([categoryOf('export-a'), categoryOf('export-'), categoryOf('exports-a'), categoryOf('constructor-a')]).toEqual(['export', undefined, undefined, undefined]);
  });
});

describe('on the command line', () => {
  it('create prints what it wrote, and asks nothing where nobody is', async () => {
    const [made, unasked, help] = await Promise.all([cli('create', 'delete', 'printed-rows', '--table', 'note'), cli('create'), cli('create', '--help')]);
    expect(made).toEqual({
      code: 0, output: expect.stringMatching(/^src\/jobs\/delete-printed-rows\.ts\nsrc\/jobs\/__tests__\/delete-printed-rows\.spec\.ts\n[^]*npx jest delete-printed-rows\n/),
    });
    expect(unasked).toEqual({ code: 1, output: expect.stringMatching(/^error: create takes a name: /) });
    for (const category of CATEGORIES) expect(help.output).toMatch(new RegExp(`^  ${category}- +\\w`, 'm'));
  }, 60_000);

  it('create asks for the kind, the name, the table and the column, and lets go', async () => {
    cpSync(path.join(__dirname, '../fixtures/ask-for-job-process.ts'), path.join(checkout, 'src/__tests__/fixtures/ask-for-job-process.ts'));
    const type = (...keys: string[]) => ranSource('src/__tests__/fixtures/ask-for-job-process.ts', ...keys);
    const DOWN = '\u001b[B';
    const [answered, left] = await Promise.all([type(`${DOWN}${DOWN}\r`, 'patient-lists\r', '\r', 'email\r'), type('\r', '\u0003')]);
    expect(answered).toEqual({ code: 0, output: '{"words":["export","patient-lists"],"table":"patient","column":"email"}\n' });
    expect(left).toEqual({ code: 0, output: 'CliError: nothing was written\n' });
  }, 60_000);

  it('check tells faults from advice: it ends with 1 for faults alone, and with --strict for both', async () => {
    const [folder, whole] = ['src/other-jobs', 'src/whole-jobs'].map((name) => path.join(checkout, name)) as [string, string];
    mkdirSync(folder);
    await expect(checkCommand(source(), folder, {})).rejects.toThrow('there is no job in ');
    await expect(checkCommand(source(), path.join(checkout, 'nowhere'), {})).rejects.toThrow(/the folder .*nowhere cannot be read: /);
    mkdirSync(path.join(whole, '__tests__'), { recursive: true });
    for (const each of [folder, whole]) cpSync(path.join(__dirname, '../fixtures/templates/cache-template-name.ts'), path.join(each, 'cache-template-name.ts'));
    writeFileSync(path.join(whole, '__tests__/cache-template-name.spec.ts'), '');
    const [advised, strict, kept] = await Promise.all([cli('check', 'src/other-jobs'), cli('check', 'src/other-jobs', '--strict'), cli('check', 'src/whole-jobs', '--json')]);
    const advice = expect.stringMatching(/^ +WHERE .*\nadvice +src\/other-jobs\/cache-template-name\.ts +spec +It has none\.[^]*\n1 job: 0 faults, 1 piece of advice\n$/);
    expect(advised).toEqual({ code: 0, output: advice });
    expect(strict).toEqual({ code: 1, output: advice });
    expect(kept).toEqual({ code: 0, output: '{"jobs":1,"faults":[],"advice":[]}\n' });
    cpSync(path.join(__dirname, '../fixtures/schema-jobs/renames-what-is-marked.ts'), path.join(whole, 'renames-what-is-marked.ts'));
    const marks = await cli('check', 'src/whole-jobs');
    expect(marks).toEqual({ code: 1, output: expect.stringMatching(/\nfault +src\/whole-jobs\/renames-what-is-marked\.ts +marks +Its RequestBody marks email .* mail would be stored in clear\. Mark on the input side/) });
  }, 60_000);
});
