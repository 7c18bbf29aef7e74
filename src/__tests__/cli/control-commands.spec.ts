import os from 'node:os';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { type EndedCommand, killCommands, startCommand } from '../helpers/command-line.js';
import { doneIds, useItemTable } from '../helpers/item-table.js';
import { untilLost } from '../helpers/until-lost.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

/** The command line over the fixture jobs, with a lease that passes soon. */
const start = (...args: string[]) => startCommand(args, { RUN_LEASE: '2s' });
const job = (...args: string[]): Promise<EndedCommand> => start(...args).ended;
const body = (value: object): string[] => ['--body', JSON.stringify(value)];
const runIdOf = ({ stderr }: EndedCommand): string => /· run (\S+)/.exec(stderr)?.[1] ?? `no run in: ${stderr}`;
const NO_RUN = '018f0000-0000-7000-8000-000000000000';

useItemTable();
afterEach(killCommands);

describe('rehearse', () => {
  it('refuses to go on where there is nobody to ask, before anything runs', async () => {
    const before = await BatchJobRun.list({ limit: 10 });
    expect(await job('rehearse', 'writes')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: there is nobody to ask .* give --yes/) });
    expect(await BatchJobRun.list({ limit: 10 })).toEqual(before);
    expect(await doneIds()).toEqual([]);
  });

  it('with --yes runs it three times, prints the table, and ends with 0 when all of them passed', async () => {
    const { code, stdout } = await job('rehearse', 'writes', '--yes', ...body({ batchSize: 50 }));
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n').map((line) => line.replace(/\s+/g, ' ').replace(/[0-9a-f-]{36}/, '<id>'));
    expect(lines).toEqual([
      'STEP RUN PROCESSED SUCCEEDED FAILED WRITES VERDICT',
      'dry run <id> 100 100 0 - passed',
      'real run <id> 100 100 0 item: update 100 passed',
      'second run <id> 0 0 0 - passed',
      'rehearsal: passed',
    ]);
    const [dry, real, second] = [...stdout.matchAll(/[0-9a-f-]{36}/g)].map(([id]) => id);
    expect(await BatchJobRun.find(dry!)).toMatchObject({ isDryRun: true, trigger: 'cli', requestedBy: os.userInfo().username, body: { batchSize: 50, isDryRun: true } });
    for (const id of [real!, second!]) expect(await BatchJobRun.find(id)).toMatchObject({ isDryRun: false, parentRunId: dry });
  });

  it('ends with 1 when a verdict fails: a job that writes again, one that writes in its dry run', async () => {
    const repeating = await job('rehearse', 'writes', '--yes', ...body({ isRepeating: true }));
    expect(repeating).toMatchObject({ code: 1, stdout: expect.stringMatching(/second run .* failed: the second run wrote again: the job is not idempotent\nrehearsal: failed\n$/) });
    await knex('item').update({ isDone: false });
    const careless = await job('rehearse', 'writes', '--yes', ...body({ forgetsDryRun: true }));
    expect(careless).toMatchObject({ code: 1, stdout: expect.stringMatching(/dry run .* failed: the run is failed: A dry run may not write.*\nrehearsal: failed\n$/) });
    expect(careless.stdout).not.toContain('real run');
    expect(await doneIds()).toEqual([]);
  });

  it('warns of rows that fail in the real run alone, which no dry run can find', async () => {
    await knex.raw('alter table item add constraint no_tens check (not "isDone" or id % 10 <> 0)');
    const { code, stdout } = await job('rehearse', 'writes', '--yes');
    await knex.raw('alter table item drop constraint no_tens');
    expect(stdout).toMatch(/real run .* warning: 10 failed, and of the dry run 0\n/);
    expect({ code, verdict: stdout.trimEnd().split('\n').at(-1) }).toEqual({ code: 0, verdict: 'rehearsal: warning' });
  });

  it('refuses a job without a dry run, and one that does not exist', async () => {
    const [without, unknown] = await Promise.all([job('rehearse', 'echo', '--yes'), job('rehearse', 'no-such-job', '--yes')]);
    expect(without).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('This job cannot be rehearsed') });
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('there is no job "no-such-job"') });
  });
});

describe('cancel', () => {
  it('stops the run of another process, which ends with 1; a second time it is refused', async () => {
    const other = start('run', 'holds-connections', ...body({ count: 1, seconds: 60 }));
    const { id } = await untilRunning('holds-connections');
    expect(await job('cancel', id)).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining(`cancelled · run ${id}`) });
    expect(await other.ended).toMatchObject({ code: 1, stderr: expect.stringContaining(`cancelled · run ${id}`) });
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'cancelled', errorName: 'RunCancelled' });
    expect(await job('cancel', id)).toMatchObject({ code: 1, stderr: expect.stringMatching(new RegExp(`^error: Run ${id} is cancelled since \\S+Z, so there is nothing to cancel\\. `)) });
  });
});

describe('resume', () => {
  it('goes on from the cursor of a run whose process was killed: no row twice', async () => {
    const victim = start('run', 'writes', ...body({ pauseMs: 20 }));
    const { id } = await untilRunning('writes');
    await waitUntil('it got somewhere', async () => (await doneIds()).length >= 20);
    victim.child.kill('SIGKILL');
    await untilLost(id);
    const resumed = await job('resume', id);
    expect(resumed).toMatchObject({ code: 0, stderr: expect.stringContaining(`succeeded · run ${id}`) });
    expect(JSON.parse(resumed.stdout)).toEqual({ isDryRun: false, processed: 100, succeeded: 100, failed: 0 });
    expect(await knex('item').whereNot({ isDone: true, times: 1 })).toEqual([]);
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'succeeded', attempt: 2, requestedBy: os.userInfo().username });
  });
});

describe('retry', () => {
  it('--only-failed does just what failed, as a run of its own; without it a run that succeeded is refused', async () => {
    const first = await job('run', 'writes', ...body({ failing: [7, 50] }));
    const id = runIdOf(first);
    const refused = await job('retry', id);
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(new RegExp(`^error: Run ${id} has succeeded at \\S+Z: there is nothing to start again`)) });
    const retried = await job('retry', id, '--only-failed');
    // The same body fails the same two, so that every item of this run failed.
    expect(retried).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('"processed":2,"succeeded":0,"failed":2') });
    expect(await BatchJobRun.find(runIdOf(retried))).toMatchObject({ parentRunId: id, trigger: 'cli' });
  });

  it('begins anew, with the same body, and ends as the run does', async () => {
    const first = await job('run', 'throws', ...body({ status: 409, data: 'not yet' }));
    const retried = await job('retry', runIdOf(first));
    expect(retried).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/409 Conflict: not yet\nfailed · run/) });
    expect(await BatchJobRun.find(runIdOf(first))).toMatchObject({ attempt: 2, body: { status: 409, data: 'not yet' } });
  });
});

describe('an id that is none', () => {
  it.each(['cancel', 'resume', 'retry'])('is refused by %s in plain words', async (command) => {
    const [unknown, mistyped] = await Promise.all([job(command, NO_RUN), job(command, 'newest')]);
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: there is no run/i) });
    expect(mistyped).toMatchObject({ code: 1, stdout: '', stderr: 'error: "newest" is no run\'s id. See: runs\n' });
  });
});
