import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { createJobRegistry, isSlug } from '@commons/backend/lib/job-files/registry.js';
import { ServiceError } from '@commons/backend/lib/errors/service-error.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'commons-jobs-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (...files: string[]) => files.forEach((file) => writeFileSync(path.join(folder, file), ''));
const handler = async () => ({ ok: true });

function registryOf(importFile: (file: string) => Promise<unknown>, loadTimeoutMs = 5_000) {
  return createJobRegistry({ folder, importFile, loadTimeoutMs });
}

describe('the job registry', () => {
  it('finds what is a job, by its slug, and nothing else', () => {
    write('b-job.ts', 'a-job.js', 'helpers.ts', 'types.d.ts', 'a-job.spec.ts', 'a-job.js.map', 'README.md', '.hidden.ts.swp');
    const registry = registryOf(async () => ({ default: handler }));
    expect(registry.list().map(({ slug }) => slug)).toEqual(['a-job', 'b-job']);
    expect(registry.find('helpers')).toBeUndefined();
    expect(registry.find('../b-job')).toBeUndefined();
    expect(registry.find('__proto__')).toBeUndefined();
    expect(registry.faults()).toEqual([]);
  });

  it('imports nothing before a job is called, and then just its file, once', async () => {
    write('a-job.ts', 'b-job.ts');
    const importFile = jest.fn(async () => ({ default: handler }));
    const registry = registryOf(importFile);
    registry.find('a-job');
    expect(importFile).not.toHaveBeenCalled();
    await registry.find('a-job')!.load();
    await registry.find('a-job')!.load();
    expect(importFile.mock.calls).toEqual([[path.join(folder, 'a-job.ts')]]);
  });

  it('names a file whose name is no slug, and how to mend it', () => {
    write('Backfill_Things.ts', 'a--b.ts');
    const { faults } = { faults: registryOf(async () => ({})).faults() };
    expect(faults.map(({ name }) => name)).toEqual(['Backfill_Things', 'a--b']);
    expect(faults[0]!.reason).toMatch(/kebab-case.*Rename it/);
  });

  it('names both files of one slug, and runs neither', async () => {
    write('twice.js', 'twice.ts');
    const registry = registryOf(async () => ({ default: handler }));
    expect(registry.faults()).toEqual([{ name: 'twice', reason: 'twice.js and twice.ts are both the job twice. Remove one of them.' }]);
    await expect(registry.find('twice')!.load()).rejects.toThrow(ServiceError);
  });

  it.each([
    ['no default export', {}, /has no default export.*export default main/],
    ['a default export that is no function', { default: 1 }, /default export that is no function/],
    ['a RequestBody that is no schema', { default: handler, RequestBody: {} }, /RequestBody is no Zod schema/],
    ['a RequestBody that marks what is made of a body, and not the body', { default: handler, RequestBody: z.object({ mail: z.string() }).transform(({ mail }) => ({ email: mail })).pipe(z.object({ email: z.string().meta({ pii: true }) })) }, /marks email .* mail would be stored in clear\. Mark on the input side/],
    ['a config that is no object', { default: handler, config: 'x' }, /config is no object/],
    ['an overlap that is none', { default: handler, config: { overlap: 'queue' } }, /config.overlap is none of allow, skip/],
    ['a schedule with too many fields', { default: handler, config: { schedule: { cron: '0 0 6 * * *' } } }, /config.schedule is none: it has not five fields/],
    ['a schedule that never comes', { default: handler, config: { schedule: { cron: '0 6 31 2 *' } } }, /config.schedule is none: no such time comes/],
    ['a schedule of no place', { default: handler, config: { schedule: { cron: '0 6 * * *', timeZone: 'Mars/Olympus' } } }, /config.schedule is none: .*Write unix-cron/],
    ['a timeout that is none', { default: handler, config: { timeout: 'soon' } }, /'soon' is not a duration/],
  ])('refuses a file with %s, naming it and the mend in the cause alone', async (_what, module, reason) => {
    write('a-job.ts');
    const loading = Promise.resolve(registryOf(async () => module).find('a-job')!.load());
    await expect(loading).rejects.toMatchObject({ status: 500, message: 'The job cannot be loaded. The log names its file and the reason.' });
    const error = (await loading.catch((thrown: unknown) => thrown)) as Error;
    expect((error.cause as Error).message).toMatch(reason);
    expect((error.cause as Error).message).toContain('a-job.ts');
  });

  it('answers 504 for a file that does not finish loading, at once from then on, and serves it once it has', async () => {
    write('a-job.ts');
    let finish: (module: unknown) => void = () => undefined;
    const registry = registryOf(() => new Promise((resolve) => (finish = resolve)), 100);
    await expect(registry.find('a-job')!.load()).rejects.toMatchObject({ status: 504 });
    const since = performance.now();
    await expect(registry.find('a-job')!.load()).rejects.toMatchObject({ status: 504 });
    expect(performance.now() - since).toBeLessThan(80);
    finish({ default: handler });
    await expect(registry.find('a-job')!.load()).resolves.toMatchObject({ handler });
  });
});

describe('isSlug', () => {
  it.each(['a', 'a-b', 'cache-zip-codes', '0', 'a1-2b', 'x'.repeat(100)])('takes %s', (text) => expect(isSlug(text)).toBe(true));
  it.each(['', '-', 'a-', '-a', 'a--b', 'A', 'a_b', 'a.b', 'é', 'a\n', 'a b', 'x'.repeat(101)])('refuses %p', (text) => expect(isSlug(text)).toBe(false));
});
