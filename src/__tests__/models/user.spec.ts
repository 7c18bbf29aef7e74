import { backfillPatientMarkets } from '@commons/backend/jobs/backfill-patient-markets.js';
import { cancelStaleWorkflows } from '@commons/backend/jobs/cancel-stale-workflows.js';
import { cleanupDuplicatePatients } from '@commons/backend/jobs/cleanup-duplicate-patients.js';
import { createPatientsFromCsv } from '@commons/backend/jobs/create-patients-from-csv.js';
import { deleteExpiredTasks } from '@commons/backend/jobs/delete-expired-tasks.js';
import { startDischargeWorkflows } from '@commons/backend/jobs/start-discharge-workflows.js';
import { updateWorkflowPriorities } from '@commons/backend/jobs/update-workflow-priorities.js';
import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import User, { findOrCreateAttributionUser, NOBODY } from '@commons/backend/models/user.js';
import { BodyCheck } from '@commons/backend/runs/body-check.js';

jest.mock('@commons/backend/lib/logging.js');

describe('the user to whom a job attributes its writes', () => {
  it.each<[string, (body: object) => Promise<unknown>, object]>([
    ['backfill-patient-markets', backfillPatientMarkets, {}],
    ['cancel-stale-workflows', cancelStaleWorkflows, {}],
    ['cleanup-duplicate-patients', cleanupDuplicatePatients, {}],
    ['create-patients-from-csv', createPatientsFromCsv, { csv: 'externalId,firstName,lastName,birthDate' }],
    ['delete-expired-tasks', deleteExpiredTasks, {}],
    ['start-discharge-workflows', startDischargeWorkflows, {}],
    ['update-workflow-priorities', updateWorkflowPriorities, {}],
  ])('is not made by %s while there is nothing to write', async (_slug, job, body) => {
    await expect(job(body)).resolves.toMatchObject({ processed: 0 });
    expect(await knex('user')).toEqual([]);
  });

  it('is rolled back with the write that it was made for, and made anew with the next one', async () => {
    const writing = knex.transaction(async (trx) => {
      await findOrCreateAttributionUser('some-job', { trx });
      throw new Error('the write failed');
    });
    await expect(writing).rejects.toThrow('the write failed');
    expect(await knex('user')).toEqual([]);
    const id = await knex.transaction((trx) => findOrCreateAttributionUser('some-job', { trx }));
    await expect(findOrCreateAttributionUser('some-job')).resolves.toBe(id);
    expect(await knex('user').pluck('email')).toEqual(['some-job@jobs.invalid']);
  });
});

const email = (id: string | undefined) => knex('user').where({ id }).first('email') as Promise<{ email: string } | undefined>;

describe('User.findOrCreateAttributionUser()', () => {
  it('takes the job of the run it is called in', async () => {
    const id = await BatchJobRun.trap('fill-in-phones', () => User.findOrCreateAttributionUser());
    expect(await email(id)).toEqual({ email: 'fill-in-phones@jobs.invalid' });
    expect(await findOrCreateAttributionUser('fill-in-phones')).toBe(id);
  });

  it('is part of a transaction that it is given, and goes when that is rolled back', async () => {
    const rolledBack = BatchJobRun.trap('never-writes', () => knex.transaction(async (trx) => {
      const id = await User.findOrCreateAttributionUser({ trx });
      expect(await trx('user').where({ id })).toHaveLength(1);
      throw new Error('no');
    }));
    await expect(rolledBack).rejects.toThrow('no');
    expect(await knex('user').where({ email: 'never-writes@jobs.invalid' })).toEqual([]);
  });

  it('makes nobody in a dry run, and gives the nil UUID for them', async () => {
    await expect(BatchJobRun.trap('only-looks', () => User.findOrCreateAttributionUser(), { isDryRun: true })).resolves.toBe(NOBODY);
    expect(await knex('user').where({ email: 'only-looks@jobs.invalid' })).toEqual([]);
  });

  it('is not to be had while a RequestBody checks the body, where nothing can be written', async () => {
    const check = new BodyCheck({ id: NOBODY, jobName: 'checks', trace: undefined, scrubber: undefined });
    const body = z.object({ by: z.string().default('').transform(() => User.findOrCreateAttributionUser()) });
    await expect(check.parse(body, {})).rejects.toThrow('A RequestBody cannot find or create a user');
  });

  it('says what to write where there is no run', async () => {
    await expect(User.findOrCreateAttributionUser()).rejects.toThrow("findOrCreateAttributionUser() was called outside a run: name the job, as in User.findOrCreateAttributionUser('backfill-phones')");
  });
});
