import os from 'node:os';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { killCommands, startCommand } from '../helpers/command-line.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

// Nothing but the command line is there: no server, and so no reaper.

const JOB = 'runs-alone';
const SHORT = { RUN_LEASE: '2s' };
const LONG = { RUN_LEASE: '60s' };
const job = (args: readonly string[], env: NodeJS.ProcessEnv) => startCommand(args, env).ended;

/** A run of a job whose config.overlap is 'skip' that goes on until it is cancelled. Its process is killed. */
async function killedRun(env: NodeJS.ProcessEnv) {
  const { child, ended } = startCommand(['run', JOB, '--wait'], env);
  const { id, startedAt } = await untilRunning(JOB);
  child.kill('SIGKILL');
  await ended;
  return { id, since: startedAt!.toISOString().replace(/\.\d+Z$/, 'Z') };
}

const untilLeasePassed = (id: string) =>
  waitUntil('its lease has passed', () => knex('batch_job_run').where({ id, status: 'running' }).whereRaw('"leaseUntil" < now()').first('id'));

beforeEach(() => knex('batch_job_run').delete());
afterEach(killCommands);

describe('a run whose process was killed, while its lease lasts', () => {
  it('is named by run, resume and retry, with its state, since when, and what to do', async () => {
    const { id, since } = await killedRun(LONG);
    const [run, resume, retry] = await Promise.all([['run', JOB], ['resume', id], ['retry', id]].map((args) => job(args, LONG)));
    expect(run).toMatchObject({ code: 1, stdout: '' });
    expect(run!.stderr).toContain(
      `Another run of this job is active: ${id}, running since ${since} on ${os.hostname()}, and its config.overlap is 'skip'. `
      + `Wait for it, or cancel it: POST /runs/${id}/cancel, or npm run -s job -- cancel ${id}\nskipped · run `,
    );
    for (const refused of [resume, retry]) {
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused!.stderr).toContain(`error: Run ${id} is running since ${since} on ${os.hostname()}, so it cannot be started again`);
      expect(refused!.stderr).toContain(`npm run -s job -- cancel ${id}`);
    }
  });

  it('is waited for by cancel until its lease has passed; then it is lost, and cancel says so and how to go on', async () => {
    const { id } = await killedRun(LONG);
    const cancelling = job(['cancel', id], LONG);
    await waitUntil('it waits', async () => (await BatchJobRun.find(id))?.cancelRequestedAt);
    await knex('batch_job_run').where({ id }).update({ leaseUntil: knex.raw("now() - interval '1 s'") });
    const cancelled = await cancelling;
    expect(cancelled).toMatchObject({ code: 1, stdout: '' });
    expect(cancelled.stderr).toContain(`its process had died, so there was nothing to stop`);
    expect(cancelled.stderr).toMatch(new RegExp(`npm run -s job -- resume ${id}\\nlost · run ${id}\\n$`));
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'lost', errorName: 'RunLost' });
    const again = await job(['cancel', id], SHORT);
    expect(again).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(new RegExp(`^error: Run ${id} is lost since \\S+Z.*there is nothing to cancel`)) });
  });
});

describe('a run whose process was killed, once its lease has passed', () => {
  it('is in the way of no other run', async () => {
    const { id } = await killedRun(SHORT);
    await untilLeasePassed(id);
    expect(await job(['run', JOB], SHORT)).toMatchObject({ code: 0, stdout: '{"ran":true}\n', stderr: expect.stringContaining(`run ${id} of ${JOB} is lost`) });
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'lost' });
  });

  it('is in the way of no rehearsal', async () => {
    const { id } = await killedRun(SHORT);
    await untilLeasePassed(id);
    expect(await job(['rehearse', JOB, '--yes'], SHORT)).toMatchObject({ code: 0, stdout: expect.stringContaining('rehearsal: passed') });
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'lost' });
  });

  it.each(['resume', 'retry'])('can be started again by %s at once', async (command) => {
    const { id } = await killedRun(SHORT);
    await untilLeasePassed(id);
    const again = startCommand([command, id], SHORT);
    await waitUntil('its next attempt runs', async () => (await BatchJobRun.find(id))?.attempt === 2);
    expect(await job(['cancel', id], SHORT)).toMatchObject({ code: 0, stderr: expect.stringContaining(`cancelled · run ${id}`) });
    expect(await again.ended).toMatchObject({ code: 1, stderr: expect.stringContaining(`cancelled · run ${id}`) });
  });
});
