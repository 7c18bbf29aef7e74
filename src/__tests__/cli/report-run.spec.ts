import { spawn } from 'node:child_process';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { reportRun } from '@commons/backend/cli/report-run.js';
import knex from '@commons/backend/lib/knex.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { anotherIsActive } from '@commons/backend/runs/records/run-refusals.js';
import type { RunResult } from '@commons/backend/runs/run-result.js';
import { createBatchJobRun } from '../helpers/factories/batch-job-run-factory.js';
import { testRegistry } from '../helpers/test-app.js';

const JOB = 'runs-alone';
const runsAlone = testRegistry().find(JOB)!;
const insertActive = async () => String((await createBatchJobRun({ jobName: JOB, overlapKey: JOB, status: 'running', finishedAt: null, leaseUntil: knex.raw("now() + interval '1 h'") })).id);

/** What the command says of such a run, and with which code it would end. */
async function report(result: () => Promise<RunResult>) {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) => jest.spyOn(process[stream], 'write').mockImplementation((...args) => {
    said[stream] += String(args[0]);
    const done = args.at(-1);
    if (typeof done === 'function') (done as () => void)();
    return true;
  }));
  const before = process.exitCode;
  try {
    await reportRun(result);
    return { ...said, code: process.exitCode };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}

beforeEach(() => knex('batch_job_run').delete());

describe('the command line, of a run', () => {
  it('that succeeded: its result, and code 0', async () => {
    const { stdout, stderr, code } = await report(() => runJob(runsAlone, { trigger: 'cli', body: {} }));
    expect([stdout, code]).toEqual(['{"ran":true}\n', 0]);
    expect(stderr).toMatch(/^succeeded · run \S+ · /);
  });

  it('that failed: what was wrong, and code 1', async () => {
    const { stdout, stderr, code } = await report(() => runJob(runsAlone, { trigger: 'cli', body: { wait: 'no' } }));
    expect([stdout, code]).toEqual(['', 1]);
    expect(stderr).toMatch(/^400 Bad Request.*\n {2}wait: .*\nfailed · run \S+ · /);
  });

  it('that was skipped: which run is active and which says so, and code 1', async () => {
    const active = await insertActive();
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', 'run', JOB], {
      cwd: path.resolve(__dirname, '../../..'),
      env: { ...process.env, JOBS_FOLDER: path.join(__dirname, '../fixtures/jobs'), LOG_LEVEL: 'silent', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const code = new Promise((resolve) => child.once('close', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const [skipped] = await knex('batch_job_run').where({ status: 'skipped', jobName: JOB }).select('id', 'trigger');
    expect(skipped).toMatchObject({ trigger: 'cli' });
    expect([stdout, await code]).toEqual(['', 1]);
    expect(stderr).toMatch(new RegExp(`^Another run of this job is active: ${active}, running since \\S+Z, and its config.overlap is 'skip'. Wait for it, or cancel it: .*cancel ${active}\nskipped · run ${skipped.id}\n$`));
  });

  it('that was skipped for one that has ended meanwhile: no run is named that nobody knows', async () => {
    const { stderr, code } = await report(async () => ({ kind: 'skipped', id: 'the-run', activeRunId: undefined, detail: anotherIsActive(undefined), httpStatus: 409 }));
    expect([stderr, code]).toEqual(["Another run of this job was active, and its config.overlap is 'skip'. That run has ended by now: start this one again.\nskipped · run the-run\n", 1]);
  });

  it('that is in another process: which one it is, and code 1', async () => {
    const { stderr, code } = await report(async () => ({ kind: 'elsewhere', id: 'the-run' }));
    expect([stderr, code]).toEqual(['the run goes on in another process · run the-run\n', 1]);
  });
});
