import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { killServiceProcesses, type ServiceProcess, startServiceProcess } from './helpers/service-process.js';

const ROOT = path.resolve(__dirname, '../..');
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

/** The lines of the shell blocks that begin with `command`. */
const shellLines = (command: string) =>
  [...README.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n')).filter((line) => line.startsWith(command));

/** What a curl line of the README prints, with this service in place of the one it names. */
async function curl(line: string, service: ServiceProcess, flags = '-sS --fail-with-body'): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', line.replace('curl', `curl ${flags}`).replaceAll('http://localhost:8080', service.url)]);
  return stdout;
}

afterEach(killServiceProcesses);

it('the README\'s curl lines work as pasted', async () => {
  const lines = shellLines('curl').filter((line) => !line.includes('hello-patient'));
  expect(lines.length).toBeGreaterThanOrEqual(3);
  const service = await startServiceProcess({ JOBS_FOLDER: path.join(ROOT, 'src/jobs') });
  for (const line of lines) {
    const answer = JSON.parse(await curl(line, service)) as { processed?: number; jobs?: unknown[]; runs?: { status: string }[] };
    if (line.includes('-X POST')) expect(answer.processed).toBe(41_490);
    else if (line.includes('/runs')) expect(answer.runs![0]!.status).toBe('succeeded');
    else expect(answer.jobs!.length).toBeGreaterThan(0);
  }
});

describe('the README\'s first job', () => {
  // Below src, so that the job resolves the package's own name.
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(__dirname, 'fixtures/readme-'));
    const file = /Create `src\/jobs\/([^`]+)`/.exec(README)![1]!;
    writeFileSync(path.join(folder, file), /```ts\n([\s\S]*?)```/.exec(README)![1]!);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const GREETED = { greetings: ['Hello, Ada', 'Hello, Ada'] };

  it('answers its curl line, with its run\'s address in Location and the run\'s log behind it', async () => {
    const service = await startServiceProcess({ JOBS_FOLDER: folder });
    const [line] = shellLines('curl').filter((each) => each.includes('hello-patient'));
    const [head = '', body = ''] = (await curl(line!, service)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(JSON.parse(body)).toEqual(GREETED);
    const address = `${service.url}${/^Location: (\S+)/m.exec(head)![1]}`;
    expect(await (await fetch(address)).json()).toMatchObject({ jobName: 'hello-patient', status: 'succeeded' });
    expect(JSON.stringify(await (await fetch(`${address}/logs`)).json())).toContain('Greeting 2 times');
    const refused = await fetch(`${service.url}/jobs/hello-patient`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"times": 20}' });
    expect(refused.status).toBe(400);
    expect(((await refused.json()) as { errors: { path: string }[] }).errors.map((error) => error.path)).toEqual(['name', 'times']);
  });

  it('answers its command line, with no server', async () => {
    const lines = shellLines('npm run -s job -- ').map((line) => line.slice('npm run -s job -- '.length).split(' '));
    expect(lines.map(([command]) => command)).toEqual(['run', 'runs']);
    const [run, runs] = lines;
    const env = { ...process.env, JOBS_FOLDER: folder, LOG_LEVEL: 'info', NO_COLOR: '1' };
    const job = async (args: readonly string[]) => (await promisify(execFile)(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...args], { cwd: ROOT, env })).stdout;
    expect(JSON.parse(await job(run!))).toEqual(GREETED);
    expect(await job(runs!)).toMatch(/hello-patient/);
  });
});
