import { backfillPatientMarkets } from '@commons/backend/jobs/backfill-patient-markets.js';
import { cancelStaleWorkflows } from '@commons/backend/jobs/cancel-stale-workflows.js';
import { cleanupDuplicatePatients } from '@commons/backend/jobs/cleanup-duplicate-patients.js';
import { createPatientsFromCsv } from '@commons/backend/jobs/create-patients-from-csv.js';
import { deleteExpiredTasks } from '@commons/backend/jobs/delete-expired-tasks.js';
import { startDischargeWorkflows } from '@commons/backend/jobs/start-discharge-workflows.js';
import { updateWorkflowPriorities } from '@commons/backend/jobs/update-workflow-priorities.js';
import knex from '@commons/backend/lib/knex.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';

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
