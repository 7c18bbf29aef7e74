import type { Knex } from 'knex';
import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { linkSamePersons, type LinkedRecords, type PersonRecord } from '@commons/backend/jobs/shared/same-person.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import { carryOutMerge, type PatientMerge, planMerge } from '@commons/backend/jobs/shared/merge-patients.js';

const TAG = 'cleanup-duplicate-patients';

export const config: JobConfig = {
  description: 'Merges patients who are on record more than once into the oldest record: same name, birth date and contact, and nothing that contradicts.',
  timeout: '2h',
  overlap: 'skip',
};

export const RequestBody = z.object({
  limit: z.number().int().min(1).optional().describe('Groups of duplicates to merge at most. Default: all that are found.'),
  isDryRun: z.boolean().optional().default(false).describe('Report the same groups and counts, and change nothing.'),
});

/** Birth dates whose patients are read at a time. */
const BIRTH_DATES = 100;
/** Groups that the result lists of each kind; all of them are counted. */
const MOST_LISTED = 100;

type Review = { ids: string[]; differIn: string[] };

/**
 * Who is a duplicate is said in jobs/shared/same-person.ts. Groups that contradict themselves are not touched, but listed for a
 * person to look at. Patients are read birth date by birth date along the index patient_same_person, so that memory holds
 * those of a few dates, however many there are.
 */
export const cleanupDuplicatePatients = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { limit, isDryRun } = bodyResult.data;
  logger.log('Merging duplicate patients', TAG, { limit, isDryRun });
  const counts = { duplicates: 0, workflowsMoved: 0, workflowsCancelled: 0, tasksMoved: 0, toReview: 0, changed: 0 };
  const groups: ReturnType<typeof reportOf>[] = [];
  const review: Review[] = [];

  const batches = await processInBatches({
    query: findDuplicates((group) => {
      counts.toReview++;
      if (review.length < MOST_LISTED) review.push(group);
    }),
    key: 'keptId',
    // A page is merged before the next is looked for, which knows nothing of it: groups share no patient.
    batchSize: MOST_LISTED,
    limit,
    isDryRun,
    each: async ({ ids }) => {
      const merge = await knex.transaction((trx) => mergeGroup(trx, ids, isDryRun));
      // By another run, as a rule, or by a person. It is no failure: what is left of the group is for the next run.
      if (!merge) return void counts.changed++;
      const report = reportOf(merge);
      counts.duplicates += report.duplicateIds.length;
      counts.workflowsMoved += report.workflowsMoved;
      counts.workflowsCancelled += report.workflowsCancelled;
      counts.tasksMoved += report.tasksMoved;
      if (groups.length < MOST_LISTED) groups.push(report);
    },
  });
  const result = { ...batches, limit, ...counts };
  logger.log('Job complete', TAG, result);
  return { ...result, groups, review };
};

/** A cancelled workflow is moved too. */
const reportOf = ({ keptId, duplicateIds, workflowIds, taskIds, cancelled }: PatientMerge) => ({
  keptId,
  duplicateIds: [...duplicateIds],
  workflowsMoved: workflowIds.length,
  workflowsCancelled: cancelled.length,
  tasksMoved: taskIds.length,
});

/** The groups that can be merged, by their ids, the oldest record first. @param onReview hears of those that cannot */
async function* findDuplicates(onReview: (group: Review) => void): AsyncGenerator<{ keptId: string; ids: string[] }> {
  for (let after = '-infinity', people = await readPeople(after); people.length > 0; people = await readPeople(after)) {
    for (const { people: linked, contradictions } of linkSamePersons(people)) {
      const ids = linked.map(({ id }) => id);
      if (contradictions.length > 0) onReview({ ids, differIn: [...contradictions] });
      else yield { keptId: ids[0]!, ids };
    }
    after = people.at(-1)!.birthDate;
  }
}

/** All patients of the next few birth dates that more than one has, in the order of the dates. */
const readPeople = (after: string): Promise<PersonRecord[]> =>
  selectPeople(knex)
    .whereIn(
      'birthDate',
      knex('patient')
        .whereNull('deletedAt')
        .where('birthDate', '>', after)
        .groupBy('birthDate')
        .havingRaw('count(*) > 1')
        .orderBy('birthDate')
        .limit(BIRTH_DATES)
        .select('birthDate'),
    );

const selectPeople = (db: Knex) =>
  db('patient')
    .whereNull('deletedAt')
    // With the table's name: without it, Postgres would sort by the text that is selected under the same one.
    .orderBy(['patient.birthDate', 'createdAt', 'id'])
    .select<PersonRecord[]>('id', 'firstName', 'lastName', 'email', 'phone', 'zipCode', 'status', db.raw(`"birthDate"::text`));

/**
 * Merges the patients of `ids` into the first, or in a dry run finds out what that would do.
 * @returns undefined when they are no such group any more
 */
async function mergeGroup(trx: Knex, ids: readonly string[], isDryRun: boolean): Promise<PatientMerge | undefined> {
  // The strong lock, in the order of the ids: it also keeps out whoever would give these patients new workflows or tasks.
  if (!isDryRun) await trx('patient').whereIn('id', ids).orderBy('id').forUpdate().select('id');
  const [group, ...others] = linkSamePersons(await selectPeople(trx).whereIn('id', ids));
  if (!group || others.length > 0 || !isStill(group, ids)) return undefined;
  const [keptId, ...duplicateIds] = ids;
  const merge = await planMerge(trx, keptId!, duplicateIds, !isDryRun);
  if (!isDryRun) await carryOutMerge(trx, merge, await findOrCreateAttributionUser(TAG, { trx }));
  return merge;
}

const isStill = ({ people, contradictions }: LinkedRecords<PersonRecord>, ids: readonly string[]): boolean =>
  contradictions.length === 0 && people.length === ids.length && people.every(({ id }, place) => id === ids[place]);

const main: ScriptHandler = async (req) => cleanupDuplicatePatients(req.body);
export default main;
