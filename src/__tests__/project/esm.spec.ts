import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const ROOT = path.resolve(__dirname, '../../..');

// Jest runs the jobs as CommonJS; the service imports them as ES modules, where a bad named import fails.
it('every job loads as an ES module, with a default export', async () => {
  const jobs = readdirSync(path.join(ROOT, 'src/jobs')).filter((file) => file.endsWith('.ts') && file !== 'helpers.ts');
  expect(jobs).toContain('cache-zip-codes.ts');
  const load = `for (const file of ${JSON.stringify(jobs)}) {
    const job = await import('@commons/backend/jobs/' + file.replace(/ts$/, 'js'));
    console.log(file, typeof job.default);
  }`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', load], { cwd: ROOT });
  expect(stdout.trim().split('\n')).toEqual(jobs.map((file) => `${file} function`));
});
