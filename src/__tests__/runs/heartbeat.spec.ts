import { setTimeout as delay } from 'node:timers/promises';
import knex from '@commons/backend/lib/knex.js';
import * as envConfig from '@commons/backend/lib/env-config.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { waitUntil } from '../helpers/wait-until.js';

const RUN_LEASE = 4_000;

beforeEach(() => void jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...envConfig.readEnvConfig(process.env), runLease: RUN_LEASE }));
afterEach(() => void jest.restoreAllMocks());

const idOf = (jobName: string) => waitUntil(`${jobName} runs`, async () => (await BatchJobRun.list({ jobName, limit: 1 }))[0]?.id);
/** Ends when it is told to, or after a minute. */
const waits = (jobName: string) => BatchJobRun.trap(jobName, () => delay(60_000, undefined, { signal: currentRun().signal })).catch((error: Error) => error.name);

describe('while somebody holds the row of one run locked', () => {
  it('the leases of the other runs are renewed, and they hear of a cancellation', async () => {
    const [locked, free] = [waits('is-locked'), waits('is-free')];
    const [lockedId, freeId] = [await idOf('is-locked'), await idOf('is-free')];
    const leaseOf = async () => (await knex('batch_job_run').where({ id: freeId }).first('leaseUntil')) as { leaseUntil: Date };
    const holder = await knex.transaction();
    try {
      await holder('batch_job_run').where({ id: lockedId }).forUpdate();
      const { leaseUntil } = await leaseOf();
      // Twice: a fault of the first beat must not be the last that is heard of them.
      await waitUntil('it is renewed', async () => (await leaseOf()).leaseUntil.getTime() > leaseUntil.getTime() + RUN_LEASE / 2);
      await knex('batch_job_run').where({ id: freeId }).update({ cancelRequestedAt: knex.fn.now(), cancelRequestedBy: 'ada' });
      await expect(free).resolves.toBe('RunCancelled');
    } finally {
      await holder.rollback();
    }
    await BatchJobRun.cancel(lockedId, undefined);
    await locked;
  });
});
