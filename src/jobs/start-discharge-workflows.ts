import type { Knex } from 'knex';
import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'start-discharge-workflows';

export const config: JobConfig = {
  description: 'Starts a discharge workflow, with its tasks, for each patient who was discharged lately and has none.',
  timeout: '30m',
  overlap: 'skip',
  schedule: { cron: '0 * * * *', timeZone: 'America/New_York' },
};

export const RequestBody = z.object({
  withinDays: z.number().min(0).max(365).optional().default(7).describe('Patients who were discharged so many days ago at most.'),
  limit: z.number().int().min(1).optional().describe('Patients to start a workflow for at most. Default: all who need one.'),
  isDryRun: z.boolean().optional().default(false).describe('Count who would get a workflow, and write nothing.'),
});

/**
 * Calendar days after the discharge, along Medicare's transitional care management: contact within 2 business days, a visit within
 * 7 or 14 days with medications reconciled by then, and 30 days in all.
 */
const DUE_IN_DAYS = 30;
const TASKS = [
  { title: 'Call the patient', dueInDays: 2 },
  { title: 'Reconcile medications', dueInDays: 7 },
  { title: 'Hold the follow-up visit', dueInDays: 14 },
] as const;

export const startDischargeWorkflows = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { withinDays, limit, isDryRun } = bodyResult.data;
  logger.log(`Starting workflows for discharges of the last ${withinDays} days`, TAG, { limit, isDryRun });
  /** Patients, but for the tasks. succeeded = started + skipped: somebody else was quicker, or the patient has changed. Of this attempt. */
  const counts = { started: 0, tasks: 0, skipped: 0 };

  const batches = await processInBatches({
    // By the id alone: a key is kept with the run where a patient fails, and the day of a discharge is personal data.
    query: eligiblePatients(knex, withinDays).select<{ id: string }[]>('id'),
    limit,
    isDryRun,
    // One transaction each: a patient has a workflow with all of its tasks or none, and one who fails stops no other.
    each: async ({ id }) => {
      const isStarted = isDryRun || (await knex.transaction((trx) => startWorkflow(trx, id, withinDays)));
      if (!isStarted) return void counts.skipped++;
      counts.started++;
      counts.tasks += TASKS.length;
    },
  });
  const result = { ...batches, withinDays, limit, ...counts };
  logger.log('Job complete', TAG, result);
  return result;
};

/** Patients discharged lately without an open discharge workflow, or one that was started since and is closed already. */
const eligiblePatients = (db: Knex, withinDays: number) =>
  db('patient')
    .where({ status: 'discharged', deletedAt: null })
    .whereRaw(`"dischargedAt" between now() - ? * interval '1 day' and now()`, [withinDays])
    .whereNotExists(
      db('workflow')
        .whereRaw('workflow."patientId" = patient.id')
        .where('workflow.type', 'discharge')
        .whereRaw(`(workflow.status = 'open' or workflow."createdAt" >= patient."dischargedAt")`),
    );

/** @returns false when the patient needs no workflow any more */
async function startWorkflow(trx: Knex, patientId: string, withinDays: number): Promise<boolean> {
  // A second run waits here for the first one's commit. The look at workflows must be a statement of its own: one that locks
  // and looks would see what was there before it waited.
  await trx('patient').where({ id: patientId }).forNoKeyUpdate().select('id');
  const patient: { dischargedAt: Date } | undefined = await eligiblePatients(trx, withinDays).where({ id: patientId }).first('dischargedAt');
  if (!patient) return false;
  const dueIn = (days: number) => trx.raw(`?::timestamptz + ? * interval '1 day'`, [patient.dischargedAt, days]);
  const createdBy = await findOrCreateAttributionUser(TAG, { trx });
  const attribution = { createdBy, updatedBy: createdBy };

  const [workflow] = await trx('workflow')
    .insert({ patientId, type: 'discharge', dueAt: dueIn(DUE_IN_DAYS), ...attribution })
    // Whoever starts a workflow by hand does not wait for that lock.
    .onConflict(trx.raw(`("patientId", type) where status = 'open'`))
    .ignore()
    .returning<{ id: string }[]>('id');
  if (!workflow) return false;
  await trx('task').insert(
    TASKS.map(({ title, dueInDays }) => ({ patientId, workflowId: workflow.id, title, dueAt: dueIn(dueInDays), ...attribution })),
  );
  return true;
}

const main: ScriptHandler = async (req) => startDischargeWorkflows(req.body);
export default main;
