import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { makeMigrationCommand } from '@commons/backend/cli/make-migration-command.js';
import { runCommand } from '@commons/backend/cli/run-command.js';
import { showCommand } from '@commons/backend/cli/show-command.js';
import knex from '@commons/backend/lib/knex.js';
import { newRunId } from '@commons/backend/runs/records/run-id.js';
import { BatchJob } from '@commons/backend/models/batch-job.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { built, builtProgram } from './helpers/built-program.js';
import { waitUntil } from './helpers/wait-until.js';

const ROOT = path.resolve(__dirname, '../..');
const JOBS = path.join(__dirname, 'fixtures/cli-jobs');
const running = new Set<ChildProcess>();

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  /** ms until stdout is read: whoever reads a pipe may be slow. */
  readonly readAfter?: number;
}

/** The real command line in a process of its own, over the fixture jobs and this spec's database. */
function start(args: readonly string[], { env = {}, stdin = '', readAfter = 0 }: StartOptions = {}) {
  const child = spawn(process.execPath, builtProgram('src/cli.ts', ...args), {
    cwd: ROOT,
    env: { ...process.env, JOBS_FOLDER: built(JOBS), LOG_LEVEL: 'info', NO_COLOR: '1', ...env },
    stdio: 'pipe',
  });
  running.add(child);
  const text = { stdout: '', stderr: '' };
  child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
  setTimeout(() => child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString())), readAfter);
  child.stdin.end(stdin);
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, ...text });
    });
  });
  return { child, text, ended };
}

const job = (...args: string[]): Promise<Ended> => start(args).ended;

/** The run that the last line on stderr names. */
async function recordedRun({ stderr }: Ended) {
  const id = /· run (\S+) ·.*\n$/.exec(stderr)?.[1];
  return id === undefined ? undefined : BatchJobRun.find(id);
}

const ECHOED = { batchSize: 7, isDryRun: true, tags: ['a', 'b'], filter: { state: 'NY' } };
let echoed: Ended;

beforeAll(async () => {
  echoed = await job('run', 'echo-parameters', '--batch-size', '7', '--dry-run', '--tags', 'a', '--tags=b', '--filter', '{"state":"NY"}');
});

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

describe('the command line', () => {
  it('shows its commands, without a database, and ends with 1 on one that it has not', async () => {
    const env = { DATABASE_URL: 'postgres://nobody@localhost:1/nothing' };
    const [help, unknown] = await Promise.all([start(['--help'], { env }).ended, start(['lsit'], { env }).ended]);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const name of ['list', 'run', 'runs', 'show', 'migrate', 'migrate:rollback', 'migrate:make']) expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(unknown).toMatchObject({ code: 1, stdout: '' });
    expect(unknown.stderr).toContain("unknown command 'lsit'");
  });

  it('says in one line that the database cannot be reached, and in plain words what is wrong with the environment', async () => {
    const [down, refused, faulty] = await Promise.all([
      start(['list'], { env: { DATABASE_URL: 'postgres://user:hidden@localhost:1/nothing' } }).ended,
      start(['runs', '--limit', '0'], {}).ended,
      start(['runs'], { env: { PORT: 'abc' } }).ended,
    ]);
    expect(down).toMatchObject({ code: 1, stdout: '' });
    expect(down.stderr).toMatch(/^error: The database cannot be reached: .*ECONNREFUSED.*\n$/);
    expect(down.stderr).not.toContain('hidden');
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('a whole number from 1 to 500') });
    expect(faulty).toMatchObject({ code: 1, stderr: expect.stringContaining("PORT: 'abc' is no whole number") });
  });
});

describe('run', () => {
  it('runs a job with its flags: the result on stdout and nothing else, the log on stderr, the same row as any run', async () => {
    expect(echoed.code).toBe(0);
    expect(JSON.parse(echoed.stdout)).toEqual({ received: ECHOED, parsed: ECHOED });
    expect(echoed.stdout.trim()).not.toContain('\n');
    expect(echoed.stderr).toMatch(/a job that prints\nand writes\n.*echoing.*\nsucceeded · run \S+ · \d+(\.\d)? m?s\n$/);
    expect(await recordedRun(echoed)).toMatchObject({
      jobName: 'echo-parameters', status: 'succeeded', trigger: 'cli', requestedBy: os.userInfo().username, isDryRun: true, body: ECHOED,
    });
  });

  it('takes the body from text, a file or stdin, and flags go over it', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'cli-spec-'));
    const file = path.join(folder, 'body.json');
    await writeFile(file, '{"batchSize":3}');
    const [fromFile, fromStdin, fromText] = await Promise.all([
      job('run', 'echo-parameters', '--body', `@${file}`),
      start(['run', 'echo-parameters', '--batchSize=9', '--body', '-'], { stdin: '{"batchSize":4,"mode":"fast"}' }).ended,
      job('run', 'echo-parameters', '--body', '{"batchSize":0}'),
    ]);
    await rm(folder, { recursive: true });
    expect(JSON.parse(fromFile.stdout).received).toEqual({ batchSize: 3 });
    expect(JSON.parse(fromStdin.stdout).received).toEqual({ batchSize: 9, mode: 'fast' });
    expect(fromText).toMatchObject({ code: 1, stdout: '' });
    expect(fromText.stderr).toMatch(/400 Bad Request: The body does not fit\.\n {2}batchSize: Too small.*\nfailed · run/);
    expect(await recordedRun(fromText)).toMatchObject({ status: 'failed', httpStatus: 400 });
  });

  it('refuses what was mistyped before anything runs', async () => {
    const before = await BatchJobRun.list({ limit: 100 });
    const [flag, help] = await Promise.all([job('run', 'echo-parameters', '--batch-size', 'many'), job('run', 'echo-parameters', '--help')]);
    expect(flag).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('--batch-size takes <number>, not "many".\nIts flags: --batch-size') });
    expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/--batch-size <number> +Rows a statement\. \(default: 100\)/) });
    const source = { root: path.join(__dirname, 'fixtures'), importFile: (file: string) => import(file) };
    await expect(runCommand(source, 'no-such-job', [])).rejects.toThrow(/^there is no job "no-such-job"\. There are: .*, no-op, /);
    await expect(runCommand(source, '--dry-run', ['echo-parameters'])).rejects.toThrow("the job's name comes first");
    await expect(showCommand(source, 'newest', {})).rejects.toThrow('"newest" is no run\'s id');
    expect(await BatchJobRun.list({ limit: 100 })).toEqual(before);
  });

  it('tells by the exit code whether the run succeeded', async () => {
    const [refused, accepted] = await Promise.all([job('run', 'end-somehow', '--how', 'refuse'), job('run', 'end-somehow', '--how', 'accept')]);
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/409 Conflict\n {2}\{"missing":"a table"\}\nfailed · run/) });
    expect(accepted).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(/409 Conflict: already done\nsucceeded · run/) });
    const [thrown, exited] = await Promise.all([job('run', 'end-somehow', '--how', 'throw'), job('run', 'end-somehow', '--how', 'exit')]);
    expect(thrown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/TypeError: as it happens[^]*500 Internal Server Error[^]*failed · run/) });
    expect(exited).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('the process ended before the command did') });
  });

  it('never cuts a long result off, however slowly it is read; a job that returns nothing prints nothing', async () => {
    const [much, nothing] = await Promise.all([start(['run', 'end-somehow', '--how', 'much'], { readAfter: 2_500 }).ended, job('run', 'end-somehow', '--how', 'nothing')]);
    expect(much.code).toBe(0);
    expect(JSON.parse(much.stdout).much).toHaveLength(1_000_000);
    expect(nothing).toMatchObject({ code: 0, stdout: '' });
  });

  it('records a job that cannot be loaded as a failed run, and says why', async () => {
    const ended = await job('run', 'broken', '--limit', '5');
    expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/broken\.js cannot be loaded: broken at its top level/) });
    expect(await recordedRun(ended)).toMatchObject({ jobName: 'broken', status: 'failed', trigger: 'cli' });
  });
});

describe('Ctrl-C', () => {
  const waiting = async (env: NodeJS.ProcessEnv, ...args: string[]) => {
    const started = start(['run', 'wait-for-stop', ...args], { env });
    await waitUntil('the job waits', () => started.text.stderr.includes('waiting'));
    return started;
  };

  it('asks the run to stop, which is on record as interrupted, and ends with 130; SIGTERM ends with 143', async () => {
    const [byTerminal, byService] = await Promise.all([waiting({}), waiting({ SHUTDOWN_GRACE: '500ms' }, '--body', '{"isStubborn":true}')]);
    // npm and tsx pass on what the terminal has sent them all: an echo is no second Ctrl-C.
    byTerminal.child.kill('SIGINT');
    byTerminal.child.kill('SIGINT');
    byService.child.kill('SIGTERM');
    const [cooperative, stubborn] = await Promise.all([byTerminal.ended, byService.ended]);
    expect(cooperative).toMatchObject({ code: 130, stdout: '', stderr: expect.stringMatching(/\ninterrupted · run/) });
    expect(stubborn).toMatchObject({ code: 143, stdout: '', stderr: expect.stringMatching(/\ninterrupted · run/) });
    expect(await recordedRun(cooperative)).toMatchObject({ status: 'interrupted', trigger: 'cli' });
    expect(await recordedRun(stubborn)).toMatchObject({ status: 'interrupted', trigger: 'cli' });
  });

  it('ends at once when it comes a second time', async () => {
    const { child, text, ended } = await waiting({ SHUTDOWN_GRACE: '60s' }, '--body', '{"isStubborn":true}');
    child.kill('SIGINT');
    await waitUntil('it stops', () => text.stderr.includes('Stopping'));
    const second = setInterval(() => child.kill('SIGINT'), 700);
    expect(await ended).toMatchObject({ code: 130, stdout: '' });
    clearInterval(second);
  });
});

describe('list', () => {
  it('shows every job with its newest run, and why the broken ones are', async () => {
    const [table, json] = await Promise.all([job('list'), job('list', '--json')]);
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(/^JOB +STATUS +NEWEST RUN +DESCRIPTION\n/);
    expect(table.stdout).toMatch(/^echo-parameters +ok +\w+ 2\S+Z +Gives back what it was called with\.$/m);
    expect(table.stdout).toMatch(/^broken +broken .*broken\.js cannot be loaded: broken at its top level$/m);
    const jobs: { slug: string; status: string; error?: string; newestRun: { trigger: string } | null }[] = JSON.parse(json.stdout);
    expect(jobs.map(({ slug, status }) => `${slug} ${status}`)).toEqual(['Not_A_Slug broken', 'broken broken', 'echo-parameters ok', 'end-somehow ok', 'wait-for-stop ok']);
    expect(jobs.find(({ slug }) => slug === 'echo-parameters')?.newestRun).toMatchObject({ trigger: 'cli' });
    expect(jobs.find(({ slug }) => slug === 'Not_A_Slug')).toMatchObject({ newestRun: null, error: expect.stringContaining("a job's file name is kebab-case") });
  });
});

describe('runs and show', () => {
  it('show the history and one run of it; a run whose process died is lost', async () => {
    const id = newRunId();
    await BatchJob.findOrCreateByName('end-somehow');
    await knex('batch_job_run').insert({ id, jobName: 'end-somehow', status: 'running', trigger: 'http', startedAt: knex.raw("now() - interval '1 h'"), leaseUntil: knex.raw("now() - interval '1 m'") });
    const [table, json] = await Promise.all([job('runs', '--limit', '2'), job('runs', '--job', 'end-somehow', '--status', 'lost,failed', '--json')]);
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(/^RUN +JOB +STATUS +STARTED +DURATION +TRIGGER +ERROR\n/);
    expect(table.stdout.match(/\n/g)).toHaveLength(3);
    expect(table.stdout).toMatch(new RegExp(`^${id} +end-somehow +lost +\\S+Z +1 h 00 m +http +The lease passed`, 'm'));
    const runs: { jobName: string; status: string }[] = JSON.parse(json.stdout);
    expect(runs[0]).toMatchObject({ id, status: 'lost', error: { name: 'RunLost' } });
    expect(runs.filter(({ jobName, status }) => jobName !== 'end-somehow' || !['lost', 'failed'].includes(status))).toEqual([]);
  });

  it('show one run with its body, result and log', async () => {
    const { id } = (await recordedRun(echoed))!;
    const [text, json] = await Promise.all([job('show', id), job('show', id, '--json')]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(new RegExp(`^id +${id}\\njobName +echo-parameters\\nstatus +succeeded\\n`));
    expect(text.stdout).toMatch(/^result +\{\n +"parsed": \{$/m);
    expect(text.stdout).toMatch(/^log: 1 line\n\S+Z {2}info {3}\[echo-parameters\] {2}echoing {2}\{"isDryRun":true\}$/m);
    expect(JSON.parse(json.stdout)).toMatchObject({ id, status: 'succeeded', result: { received: ECHOED }, log: [{ message: 'echoing', level: 'info' }] });
  });
});

async function folderWith(folder: string, file: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, file), '');
}

describe('migrate', () => {
  it('has nothing to do in a migrated database', async () => {
    expect(await job('migrate')).toEqual({ code: 0, stderr: '', stdout: 'nothing to migrate\n' });
  });

  it('makes an empty migration in its place, and never over another; not from a build', async () => {
    const root = await mkdtemp(path.join(os.tmpdir(), 'cli-spec-'));
    const folder = path.join(root, 'models/migrations');
    await folderWith(folder, '20260101000000_first.ts');
    const source = { root, importFile: async () => undefined };
    const printed = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    await makeMigrationCommand(source, 'add_zip_code', new Date('2026-11-23T10:20:30.456Z'));
    expect(String(printed.mock.calls[0]?.[0])).toContain('20261123102030_add_zip_code.ts');
    printed.mockRestore();
    expect(await readdir(folder)).toEqual(['20260101000000_first.ts', '20261123102030_add_zip_code.ts']);
    const stub = await readFile(path.join(folder, '20261123102030_add_zip_code.ts'), 'utf8');
    expect(stub).toMatch(/up\(knex: Knex\): Promise<void>[^]*down\(knex: Knex\): Promise<void>/);
    await expect(makeMigrationCommand(source, 'AddZipCode')).rejects.toThrow('write it in snake_case');
    await expect(makeMigrationCommand(source, 'add_zip_code')).rejects.toThrow('there is a migration add_zip_code already');
    await rm(folder, { recursive: true });
    await folderWith(folder, '20260101000000_first.js');
    await expect(makeMigrationCommand(source, 'second')).rejects.toThrow('this is the build');
    await rm(root, { recursive: true });
  });
});
