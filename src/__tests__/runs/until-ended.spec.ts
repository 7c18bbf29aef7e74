import knex from '@commons/backend/lib/knex.js';
import { hasEndedWithin, untilEnded } from '@commons/backend/runs/until-ended.js';
import { createBatchJobRun } from '../helpers/factories/batch-job-run-factory.js';

const runningRun = async () => String((await createBatchJobRun({ status: 'running' })).id);
const end = (id: string) => knex('batch_job_run').where({ id }).update({ status: 'succeeded' });

describe('waiting for the end of a run', () => {
  it('gives its status, for all who wait', async () => {
    const id = await runningRun();
    const signal = new AbortController().signal;
    const waiting = Promise.all([untilEnded(id, signal), untilEnded(id, signal), hasEndedWithin(id, 60_000)]);
    await end(id);
    await expect(waiting).resolves.toEqual(['succeeded', 'succeeded', true]);
  });

  it('gives undefined for a run that has no row any more', async () => {
    const id = await runningRun();
    await knex('batch_job_run').where({ id }).delete();
    await expect(untilEnded(id, new AbortController().signal)).resolves.toBeUndefined();
  });

  it('keeps a hundred deliveries, and a person who has cancelled a run is answered all the same', async () => {
    const [busy, cancelled] = [await runningRun(), await runningRun()];
    const leaving = new AbortController();
    const deliveries = Array.from({ length: 100 }, () => untilEnded(busy, leaving.signal).catch((reason: unknown) => reason));
    await expect(untilEnded(busy, leaving.signal)).rejects.toMatchObject({ status: 503, message: expect.stringContaining('too many deliveries wait') });
    await expect(hasEndedWithin(cancelled, 300)).resolves.toBe(false);
    await end(cancelled);
    await expect(hasEndedWithin(cancelled, 60_000)).resolves.toBe(true);
    leaving.abort('gone');
    expect(new Set(await Promise.all(deliveries))).toEqual(new Set(['gone']));
  });
});
