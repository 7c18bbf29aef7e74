import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createApp } from '@commons/backend/app.js';
import { readEnvConfig } from '@commons/backend/lib/env-config.js';
import { testRegistry } from './helpers/test-app.js';

const ROOT = path.resolve(__dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'src/jobs/README.md', 'src/jobs/TEMPLATES.md', ...readdirSync(path.join(ROOT, 'docs')).map((file) => `docs/${file}`)];

describe('the documentation', () => {
  it.each(DOCUMENTS)('%s links only to what exists', (document) => {
    const links = [...read(document).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = '']) => path.join(path.dirname(document), link));
    expect(links.filter((link) => !readdirSync(path.dirname(path.join(ROOT, link))).includes(path.basename(link)))).toEqual([]);
  });

  it('describes every route of the route table, and no other', () => {
    const app = createApp({ registry: testRegistry(), bodyLimit: 1, whyNotReady: async () => undefined });
    const layers = (app.router as unknown as { stack: { route?: { path: string; methods: Record<string, boolean> } }[] }).stack;
    const routes = layers.flatMap(({ route }) => (route ? Object.keys(route.methods).map((method) => `${method.toUpperCase()} ${route.path}`) : []));
    const documented = [...read('docs/http.md').matchAll(/`((?:GET|POST) \/[^`?]*)`/g)].map(([, route]) => route);
    expect(routes.length).toBeGreaterThan(5);
    expect(new Set(documented)).toEqual(new Set(routes));
  });

  it('lists in .env.example every variable that is read, and no other', () => {
    const asked = new Set<string>();
    readEnvConfig(new Proxy({}, { get: (_target, name) => void asked.add(String(name)) }));
    asked.delete('K_REVISION'); // Cloud Run's own.
    const listed = [...read('.env.example').matchAll(/^# ([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(new Set(listed)).toEqual(asked);
  });

  it('gives the templates as they stand in the tests', () => {
    const blocks = [...read('src/jobs/TEMPLATES.md').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
    expect(blocks).toEqual(['job-name', 'backfill-entity-name'].map((slug) => read(`src/__tests__/fixtures/jobs/${slug}.ts`)));
  });
});
