import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import knex from '@commons/backend/lib/knex.js';
import { patientFactory } from '../helpers/factories/patient-factory.js';
import { killServiceProcesses, type ServiceProcess, startServiceProcess } from '../helpers/service-process.js';

const ROOT = path.resolve(__dirname, '../../..');
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

const FIRST_JOB = 'backfill-patient-phones';

/** The lines of the shell blocks that begin with `command`. */
const shellLines = (command: string) =>
  [...README.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => block.split('\n')).filter((line) => line.startsWith(command));

/** What a curl line of the README prints, with this service in place of the one it names. */
async function curl(line: string, service: ServiceProcess, flags = '-sS --fail-with-body'): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', line.replace('curl', `curl ${flags}`).replaceAll('http://localhost:8080', service.url)]);
  return stdout;
}

afterEach(killServiceProcesses);

/** `npm run -s job -- <args>`, as a process of its own. */
async function job(args: readonly string[], folder: string): Promise<string> {
  const env = { ...process.env, JOBS_FOLDER: folder, LOG_LEVEL: 'info', NO_COLOR: '1' };
  return (await promisify(execFile)(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...args], { cwd: ROOT, env })).stdout;
}

it('the README\'s curl lines work as pasted', async () => {
  const lines = shellLines('curl').filter((line) => !line.includes(FIRST_JOB));
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
  const commands = shellLines('npm run -s job -- ').map((line) => line.slice('npm run -s job -- '.length).split(' '));

  beforeAll(async () => {
    folder = mkdtempSync(path.join(__dirname, '../fixtures/readme-'));
    await job(commands[0]!, folder);
    await patientFactory.createList(3, { phone: null });
    await patientFactory.create({ phone: '555-0100' });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('answers its curl line with what it would do, its run\'s address in Location and the run\'s log behind it', async () => {
    const service = await startServiceProcess({ JOBS_FOLDER: folder });
    const [line] = shellLines('curl').filter((each) => each.includes(FIRST_JOB));
    const [head = '', body = ''] = (await curl(line!, service)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(JSON.parse(body)).toEqual({ isDryRun: true, processed: 3, succeeded: 3, failed: 0 });
    const address = `${service.url}${/^Location: (\S+)/m.exec(head)![1]}`;
    expect(await (await fetch(address)).json()).toMatchObject({ jobName: FIRST_JOB, status: 'succeeded', isDryRun: true });
    expect(JSON.stringify(await (await fetch(`${address}/logs`)).json())).toContain('Filling patient.phone');
    const wrong = /Send\s+`(\{.*\})`/.exec(README)![1]!;
    const refused = await fetch(`${service.url}/jobs/${FIRST_JOB}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: wrong });
    expect(refused.status).toBe(400);
    expect(((await refused.json()) as { errors: { path: string }[] }).errors.map((error) => error.path)).toEqual(['fallback', 'batchSize']);
  });

  it('is rehearsed on the command line, with no server', async () => {
    expect(commands.map(([command]) => command)).toEqual(['create', 'rehearse', 'runs']);
    expect(await job(commands[1]!, folder)).toMatch(/rehearsal: passed/);
    expect(await knex('patient').where({ phone: 'none' })).toHaveLength(3);
    expect(await job(commands[2]!, folder)).toContain(FIRST_JOB);
  });

  it('has a smallest form, a file with nothing but a default export', async () => {
    writeFileSync(path.join(folder, 'start-hello.ts'), /```ts\n([\s\S]*?)```/.exec(README)![1]!);
    expect(JSON.parse(await job(['run', 'start-hello', '--body', '{"name": "Ada"}'], folder))).toEqual({ hello: 'Ada' });
  });
});
