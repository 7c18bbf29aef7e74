import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readEnvConfig } from '@commons/backend/lib/env-config.js';
import { JOB_CATEGORIES } from '@commons/backend/lib/job-files/categories.js';
import { routesOf } from '../../../bench/torture/routes-of.js';
import { testApp } from '../helpers/test-app.js';

const ROOT = path.resolve(__dirname, '../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'src/jobs/README.md', 'src/jobs/TEMPLATES.md', ...readdirSync(path.join(ROOT, 'docs')).map((file) => `docs/${file}`)];

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
