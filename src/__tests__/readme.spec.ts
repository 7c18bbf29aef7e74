import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { killServiceProcesses, startServiceProcess } from './helpers/service-process.js';

const ROOT = path.resolve(__dirname, '../..');
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

/** The lines of the shell blocks that begin with `command`. */
const shellLines = (command: string) =>
  [...README.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n')).filter((line) => line.startsWith(command));

afterAll(killServiceProcesses);

it('the README\'s curl lines work as pasted', async () => {
  const firstJob = /```ts\n([\s\S]*?)```/.exec(README)![1]!;
  expect(firstJob).toContain("const TAG = 'hello-patient'");
  const lines = shellLines('curl').filter((line) => !line.includes('hello-patient'));
  expect(lines.length).toBeGreaterThanOrEqual(3);
  const service = await startServiceProcess({ JOBS_FOLDER: path.join(ROOT, 'src/jobs') });
  for (const line of lines) {
    const { stdout } = await promisify(execFile)('sh', ['-c', line.replace('curl', 'curl -sS --fail-with-body').replaceAll('http://localhost:8080', service.url)]);
    const answer = JSON.parse(stdout) as { processed?: number; jobs?: unknown[]; runs?: { status: string }[] };
    if (line.includes('-X POST')) expect(answer.processed).toBe(41_490);
    else if (line.includes('/runs')) expect(answer.runs![0]!.status).toBe('succeeded');
    else expect(answer.jobs!.length).toBeGreaterThan(0);
  }
}, 90_000);
