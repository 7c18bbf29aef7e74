import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { RunSkipped } from '@commons/backend/runs/run-result.js';
import { rowOf } from '../helpers/new-run.js';

const JOB = 'traps-alone';

beforeEach(() => knex('batch_job_run').delete());

describe("BatchJobRun.trap with overlap: 'skip'", () => {
  it('does not call its work while another run of the job is active: it throws RunSkipped, with the ids of both, and a row says so', async () => {
    const work = jest.fn();
    const [thrown, activeRunId] = await BatchJobRun.trap(
      JOB,
      async ({ id }) => [await BatchJobRun.trap(JOB, work, { overlap: 'skip', body: { n: 1 }, requestedBy: 'ann' }).catch((error: unknown) => error), id] as const,
      { overlap: 'skip' },
    );
    expect(work).not.toHaveBeenCalled();
    expect(thrown).toBeInstanceOf(RunSkipped);
    const { runId } = thrown as RunSkipped;
    expect(thrown).toMatchObject({ name: 'RunSkipped', status: 409, activeRunId, message: expect.stringContaining('Another run of this job is active') });
    expect(await rowOf(runId)).toMatchObject({ jobName: JOB, status: 'skipped', httpStatus: 409, body: { n: 1 }, requestedBy: 'ann', parentRunId: activeRunId, startedAt: null });
    expect(await rowOf(activeRunId)).toMatchObject({ status: 'succeeded' });
  });

  it('lets exactly one of many in that ask at the same moment', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let isIn = 0;
    const asked = Array.from({ length: 8 }, () => BatchJobRun.trap(JOB, async () => {
      isIn++;
      await gate;
      return 'ran';
    }, { overlap: 'skip' }));
    const skipped = asked.map((run) => run.catch((error: unknown) => error));
    const ended = Promise.all(skipped);
    // The one that is in ends once the others were told.
    await Promise.race([ended, (async () => {
      for (let told = 0; told < 7;) told = Number((await knex('batch_job_run').where({ status: 'skipped' }).count({ n: '*' }))[0]!.n);
    })()]);
    release();
    const results = await ended;
    expect(isIn).toBe(1);
    expect(results.filter((result) => result === 'ran')).toHaveLength(1);
    expect(results.filter((result) => result instanceof RunSkipped)).toHaveLength(7);
  });

  it('runs beside it when it is dry, and after it', async () => {
    await expect(BatchJobRun.trap(JOB, async () => BatchJobRun.trap(JOB, () => 'dry', { overlap: 'skip', isDryRun: true }), { overlap: 'skip' })).resolves.toBe('dry');
    await expect(BatchJobRun.trap(JOB, () => 'after', { overlap: 'skip' })).resolves.toBe('after');
  });
});
