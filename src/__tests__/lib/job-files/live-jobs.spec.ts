import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { callJob, killServiceProcesses, type ServiceProcess, startServiceProcess } from '../../helpers/service-process.js';

// Below src, so that the job files resolve the package's own name.
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(__dirname, '../../fixtures/live-'));
});
afterEach(async () => {
  await killServiceProcesses();
  rmSync(folder, { recursive: true });
});

const write = (file: string, text: string) => writeFileSync(path.join(folder, file), text);
const returning = (value: string) => `export default async () => ({ value: '${value}' });`;

async function call(service: ServiceProcess, slug: string): Promise<unknown> {
  const answer = await callJob(service, slug);
  return answer.status === 200 ? ((await answer.json()) as { value: string }).value : answer.status;
}

it('in development a job that is added, edited, broken, repaired or deleted is so at its next call', async () => {
  write('changing.ts', returning('first'));
  const service = await startServiceProcess({ JOBS_FOLDER: folder }, { arguments: ['--live'] });
  expect(await call(service, 'changing')).toBe('first');
  write('changing.ts', returning('second'));
  expect(await call(service, 'changing')).toBe('second');
  write('changing.ts', 'export default async () => { return {{{');
  expect(await call(service, 'changing')).toBe(500);
  write('added.ts', returning('added'));
  expect(await call(service, 'added')).toBe('added');
  write('changing.ts', returning('repaired'));
  expect(await call(service, 'changing')).toBe('repaired');
  unlinkSync(path.join(folder, 'changing.ts'));
  expect(await call(service, 'changing')).toBe(404);
  expect(await call(service, 'added')).toBe('added');
});

it('in production a job file that cannot be parsed, or hangs at its top level, harms only itself', async () => {
  write('syntax.mjs', 'export default async () => { return {{{');
  write('hangs.mjs', 'await new Promise(() => {});\nexport default async () => ({});');
  write('circular-a.mjs', "import { b } from './circular-b.mjs';\nexport const a = b;\nexport default async () => ({ value: a });");
  write('circular-b.mjs', "import { a } from './circular-a.mjs';\nexport const b = a;\nexport default async () => ({ value: b });");
  write('fine.mjs', returning('fine'));
  const service = await startServiceProcess({ JOBS_FOLDER: folder, JOB_LOAD_TIMEOUT: '500ms' });
  expect(await call(service, 'syntax')).toBe(500);
  expect(await call(service, 'hangs')).toBe(504);
  expect(await call(service, 'circular-a')).toBe(500);
  expect(await call(service, 'fine')).toBe('fine');
  expect(service.output()).toContain('syntax.mjs cannot be loaded');
});
