import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { JOB_CATEGORIES } from '@commons/backend/lib/job-files/categories.js';
import { checkConventions } from '@commons/backend/lib/job-files/conventions.js';

const SRC = path.resolve(__dirname, '../../..');

const lines = (folder: string) => checkConventions(folder).faults.map(({ file, line, rule, problem }) => `${file}${line === undefined ? '' : `:${line}`} ${rule}: ${problem}`);

describe('the conventions', () => {
  it('are kept by every job of src/jobs', () => {
    expect(checkConventions(path.join(SRC, 'jobs')).jobs).toContain('cache-zip-codes');
    expect(lines(path.join(SRC, 'jobs'))).toEqual([]);
  });

  it('are kept by the template of every category', () => {
    const folder = path.join(__dirname, '../../fixtures/templates');
    expect(new Set(checkConventions(folder).jobs)).toEqual(new Set([...Object.keys(JOB_CATEGORIES).map((category) => `${category}-template-name`), 'template-name']));
    // The plain one is for names without a category.
    expect(checkConventions(folder).faults.map(({ file, rule }) => [file, rule])).toEqual([['template-name.ts', 'prefix']]);
  });
});

const GOOD = `import logger from '@commons/backend/lib/logging.js';
const TAG = 'cache-things';
export const config: JobConfig = { description: 'Caches things.' };
export const RequestBody = z.object({});
export const cacheThings = async (body: unknown) => logger.log('x', TAG);
const main: ScriptHandler = async (req) => cacheThings(req.body);
export default main;
`;

describe('a folder of jobs', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'conventions-'));
    mkdirSync(path.join(folder, '__tests__'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (text: string, name = 'cache-things', spec = `__tests__/${name}.spec.ts`) => {
    writeFileSync(path.join(folder, `${name}.ts`), text);
    writeFileSync(path.join(folder, spec), '');
  };

  it.each([
    ['as they are meant', GOOD],
    ['that exports by a list', `${GOOD.replaceAll(/^export (?=const)/gm, '').replace('export default main;', '')}export { cacheThings, config, main as default, RequestBody };`],
    ['whose config satisfies its type', GOOD.replace("config: JobConfig = { description: 'Caches things.' }", "config = { description: 'Caches things.' } satisfies JobConfig")],
    ['that speaks of the console, and imports JSON', `import data from './data.json';\n// console.log(data)\n${GOOD.replace("'x'", "'console.log'")}`],
  ])('passes with one %s', (_what, text) => {
    write(text);
    expect(lines(folder)).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ['no default export', GOOD.replace('export default main;', ''), /^cache-things\.ts default export: It has none\. End it with: export default main;/],
    ['another function', GOOD.replaceAll('cacheThings', 'cacheIt'), /^cache-things\.ts named export: It does not export cacheThings\. Write: export const cacheThings = /],
    ['the TAG of another', GOOD.replace("= 'cache-things'", "= 'cache-other'"), /^cache-things\.ts:2 TAG: It is 'cache-other'\. Write: const TAG = 'cache-things';/],
    ['no TAG', GOOD.replace("const TAG = 'cache-things';\n", ''), /^cache-things\.ts TAG: It has none\. Write: const TAG = /],
    ['no RequestBody', GOOD.replace(/^.*RequestBody.*\n/m, ''), /^cache-things\.ts RequestBody: It exports none\. Write: export const RequestBody/],
    ['a RequestBody for itself', GOOD.replace('export const RequestBody', 'const RequestBody'), /^cache-things\.ts:4 RequestBody: It is not exported\. Put export before/],
    ['no config', GOOD.replace(/^.*config.*\n/m, ''), /^cache-things\.ts description: It exports no config\. Write: export const config/],
    ['an empty description', GOOD.replace('Caches things.', ' '), /^cache-things\.ts:3 description: Its config has no description\. Write/],
    ['no description', GOOD.replace("description: 'Caches things.'", "timeout: '1h'"), /^cache-things\.ts:3 description: Its config has no description\. Write/],
    ['an import without .js', `import { x } from './shared/x';\n${GOOD}`, /^cache-things\.ts:1 \.js imports: '\.\/shared\/x' does not end in \.js\..* write '\.\/shared\/x\.js'/],
    ['an import of .ts', GOOD.replace('logging.js', 'logging.ts'), /^cache-things\.ts:1 \.js imports: .* write '@commons\/backend\/lib\/logging\.js'/],
    ['an import() without .js', GOOD.replace("logger.log('x', TAG)", "import('@commons/backend/lib/x')"), /^cache-things\.ts:5 \.js imports: /],
    ['the console', GOOD.replace('logger.log', 'console.log'), /^cache-things\.ts:5 console: It writes to the console\. Write: logger\.log/],
    ['what is no TypeScript', GOOD.replace('z.object({})', 'z.object({'), /^cache-things\.ts:\d+ syntax: It cannot be parsed: /],
  ])('names a job with %s, and the mend', (_what, text, fault) => {
    write(text);
    expect(lines(folder)).toEqual([expect.stringMatching(fault)]);
  });

  it('names a job without a spec', () => {
    write(GOOD, 'cache-things', '__tests__/cache-other.spec.ts');
    expect(lines(folder)).toEqual([expect.stringMatching(/^cache-things\.ts spec: It has none\. Write __tests__\/cache-things\.spec\.ts/)]);
  });

  it('names a job that begins with no category, and a file that can be none', () => {
    write(GOOD.replaceAll('cache-things', 'do-things').replaceAll('cacheThings', 'doThings'), 'do-things');
    writeFileSync(path.join(folder, 'Do_Things.ts'), '');
    expect(lines(folder)).toEqual([
      expect.stringMatching(/^Do_Things name: .*kebab-case.*Rename it/),
      expect.stringMatching(/^do-things\.ts prefix: It begins with none of backfill-, .*cancel-\. Rename it/),
    ]);
  });

  it('never runs a job', () => {
    write(`throw new Error('it was run');\n${GOOD}`);
    expect(lines(folder)).toEqual([]);
  });
});
