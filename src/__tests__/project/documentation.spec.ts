import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readEnvConfig } from '@commons/backend/lib/env-config.js';
import { JOB_CATEGORIES } from '@commons/backend/lib/job-files/categories.js';
import { routesOf } from '../../../bench/torture/routes-of.js';
import { madeAlready, namedSources, wrongNames } from '../helpers/named-sources.js';
import { testApp } from '../helpers/test-app.js';

const ROOT = path.resolve(__dirname, '../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'data/README.md', 'src/jobs/README.md', 'src/jobs/TEMPLATES.md', ...readdirSync(path.join(ROOT, 'docs')).map((file) => `docs/${file}`)];

describe('the documentation', () => {
  const linksOf = (document: string) => [...read(document).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = '']) => path.join(path.dirname(document), link));

  it('has links, which the next tests look at', () => {
    expect(linksOf('README.md')).toContain('docs/architecture.md');
    expect(linksOf('src/jobs/README.md').length).toBeGreaterThan(5);
  });

  it.each(DOCUMENTS)('%s links only to what exists', (document) => {
    const links = linksOf(document);
    expect(links.filter((link) => !readdirSync(path.dirname(path.join(ROOT, link))).includes(path.basename(link)))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s names only source files and folders that exist', (document) => {
    // To mend: name the file by where it is now.
    expect(wrongNames(read(document), path.dirname(document))).toEqual([]);
  });

  it.each([
    'see `runs/recorder.ts`', '`src/runs/recorder.ts`', '(src/runs/recorder.ts)', '[it](../runs/recorder.ts)', '`recorder.ts`', '`runs/records/recorder/`', '`src/recorder/`',
    '`lib/json/`: `claim.ts`', '`runs/claim.ts` and `write-batcher.ts`', "```ts\nimport a from '@commons/backend/runs/recorder.js';\n```", '`dist/recorder.js`', '`runs/nothing*.ts`', '`recorder.spec.ts`',
  ])('is held to that: %s is wrong', (text) => {
    expect(wrongNames(text, 'docs')).toHaveLength(1);
  });

  it.each([
    'see `runs/claim.ts`', '`src/runs/claim.ts`', '[it](../src/runs/claim.ts)', '`claim.ts`', '`runs/records/`', '`runs/`: `claim.ts`', '`lib/json/`: `runs/claim.ts`', '`dist/cli.js`', '`models/batch-job*.ts`',
    '`lib/auth/verify-token.ts`; `linear-text.spec.ts`', 'Node.js and https://example.com/lib/nothing.js', '`POST /jobs/nothing`', "import a from '@commons/backend/runs/claim.js'",
  ])('is held to that: %s is right', (text) => {
    expect(wrongNames(text, 'docs')).toEqual([]);
  });

  it('has its like in comments: those of the sources name only files that exist', () => {
    const sources = ['src', 'bench'].flatMap((folder) => readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`));
    const commentsOf = (file: string) => [...read(file).matchAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm)].map(([comment]) => comment).join('\n');
    const wrong = sources.filter((file) => /\.(ts|mjs)$/.test(file) && !file.includes('__tests__')).flatMap((file) => wrongNames(commentsOf(file), path.dirname(file)).map((name) => `${file}: ${name}`));
    expect(wrong).toEqual([]);
  });

  it('has readers make files that there are not yet', () => {
    expect(madeAlready()).toEqual([]);
  });

  it('describes every folder of the sources', () => {
    const folders = readdirSync(path.join(ROOT, 'src'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map(({ parentPath }) => path.relative(path.join(ROOT, 'src'), parentPath))
      .filter((folder) => folder !== '' && !folder.includes('__tests__'));
    expect([...new Set(folders)].filter((folder) => !read('docs/architecture.md').includes(`\`${folder}/\``))).toEqual([]);
  });

  it('shows the path of a request as at most nine files, each imported by one before it', () => {
    const [, section = ''] = read('docs/architecture.md').split('## The path of one request');
    const named = [...new Set(namedSources(section.split('\n## ')[0]!))];
    expect(named.length).toBeGreaterThan(5);
    expect(named.length).toBeLessThanOrEqual(9);
    const importsOf = (file: string) => [...read(`src/${file}`).matchAll(/from '(\.[^']+)\.js'/g)].map(([, to = '']) => path.join(path.dirname(file), `${to}.ts`));
    expect(named.filter((file, place) => place > 0 && !named.slice(0, place).some((before) => importsOf(before).includes(file)))).toEqual([]);
  });

  it('names in docs/architecture.md only functions, types and settings that there are', () => {
    const names = [...read('docs/architecture.md').matchAll(/`([A-Za-z]+[a-z][A-Z]\w*|[A-Z]+_[A-Z_]+)`/g)].map(([, name = '']) => name);
    const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && !file.includes('__tests__'));
    const code = sources.map((file) => read(`src/${file}`)).join('\n');
    expect(names.length).toBeGreaterThan(8);
    expect(names.filter((name) => !new RegExp(`\\b(function|const|class|interface|type) ${name}\\b|'${name}'`).test(code))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s says application/json in every curl line that sends a body', (document) => {
    const lines = read(document).replaceAll(/\\\n/g, ' ').split('\n').filter((line) => /\bcurl\b.* (-d|--data\S*) /.test(line));
    if (document === 'README.md') expect(lines.length).toBeGreaterThan(1);
    expect(lines.filter((line) => !line.includes("-H 'Content-Type: application/json'"))).toEqual([]);
  });

  it('describes every route of the route table, and no other', () => {
    const routes = routesOf(() => testApp()).map(({ method, path: route }) => `${method} ${route}`);
    const documented = [...read('docs/http.md').matchAll(/`((?:GET|POST) \/[^`?]*)`/g)].map(([, route]) => route);
    expect(routes.length).toBeGreaterThan(5);
    expect(new Set(documented)).toEqual(new Set(routes));
  });

  it('lists in .env.example every variable that is read, and no other', () => {
    const asked = new Set<string>();
    readEnvConfig(new Proxy({}, { get: (_target, name) => void asked.add(String(name)) }));
    for (const name of ['K_REVISION', 'K_SERVICE']) asked.delete(name); // Cloud Run's own.
    const listed = [...read('.env.example').matchAll(/^# ([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(new Set(listed)).toEqual(asked);
  });

  it('gives every template and recipe as it stands in its file, which is linted, type-checked and run', () => {
    const fixtures = 'src/__tests__/fixtures';
    const blocks = [...read('src/jobs/TEMPLATES.md').matchAll(/(?:<!-- (\S+) -->\n)?```ts\n([\s\S]*?)```/g)].map(([, file = 'no file is named', code]) => ({ file, code }));
    // To mend: change the file and the document alike.
    expect(blocks).toEqual(blocks.map(({ file }) => ({ file, code: read(file) })));
    const files = ['templates', 'recipes'].flatMap((folder) => readdirSync(path.join(ROOT, fixtures, folder)).filter((file) => file.endsWith('.ts')).map((file) => `${fixtures}/${folder}/${file}`));
    expect(files.length).toBeGreaterThan(12);
    expect(new Set(blocks.map(({ file }) => file).filter((file) => !file.includes('__tests__/template-name')))).toEqual(
      new Set([...files, ...['job-name', 'backfill-entity-name'].map((slug) => `${fixtures}/jobs/${slug}.ts`)]),
    );
  });

  it('names every category, each with examples of it that there are', () => {
    const rows = [...read('src/jobs/README.md').matchAll(/^\| `([a-z]+)-` \| (.*) \|.*$/gm)];
    expect(rows.map(([, category]) => category)).toEqual(Object.keys(JOB_CATEGORIES));
    const jobs = readdirSync(path.join(ROOT, 'src/jobs'));
    for (const [row, category] of rows) {
      const examples = [...row.matchAll(/\[([a-z-]+)\]\(/g)].map(([, slug = '']) => slug);
      expect(examples.length).toBeGreaterThan(0);
      expect(examples.filter((slug) => !slug.startsWith(`${category}-`) || !jobs.includes(`${slug}.ts`))).toEqual([]);
    }
  });
});
