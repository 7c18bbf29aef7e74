import type { Knex } from 'knex';
import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import type { Workflow } from '@commons/backend/models/tables.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'update-workflow-priorities';

export const config: JobConfig = {
  description: 'Gives open workflows the priority that follows from their due date. Those without a due date keep theirs.',
  timeout: '15m',
  overlap: 'skip',
  schedule: { cron: '0 5 * * *', timeZone: 'America/New_York' },
};

const days = () => z.number().min(0).max(3_650).optional();

export const RequestBody = z
  .object({
    urgentAfterDays: days().default(7).describe('Urgent is what has been overdue for longer than this.'),
    highAfterDays: days().default(0).describe('High is what has been overdue for longer than this, and is not urgent.'),
    lowBeforeDays: days().default(30).describe('Low is what is due only later than this from now. All else is normal.'),
    isDryRun: z.boolean().optional().default(false).describe('Count the priorities before and after, and write nothing.'),
  })
  .refine(({ urgentAfterDays, highAfterDays }) => urgentAfterDays >= highAfterDays, {
    path: ['urgentAfterDays'],
    message: 'must be no less than highAfterDays',
  });

type Thresholds = Pick<z.output<typeof RequestBody>, 'urgentAfterDays' | 'highAfterDays' | 'lowBeforeDays'>;
type Priority = Workflow['priority'];

export const updateWorkflowPriorities = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { isDryRun, ...thresholds } = bodyResult.data;
  logger.log('Updating priorities', TAG, { ...thresholds, isDryRun });
  const rule = priorityByRule(thresholds);

  // One transaction, so that now() is the same moment for what is counted and for what is written. And one statement: what
  // changes from one day to the next is little. (Where it is much, write in batches, as backfill-patient-markets does.)
  const counts = await knex.transaction(async (trx) => {
    const moves = await countMoves(trx, rule);
    const before = sumBy(moves, 'from');
    const toUpdate = sum(moves.filter(({ from, to }) => from !== to));
    if (isDryRun || toUpdate === 0) return { updated: toUpdate, before, after: sumBy(moves, 'to') };
    const updatedBy = await findOrCreateAttributionUser(TAG, { trx });
    const updated = await openWorkflows(trx)
      .where('priority', '<>', rule)
      .update({ priority: rule, updatedAt: trx.fn.now(), updatedBy });
    return { updated, before, after: sumBy(await countMoves(trx, rule), 'from') };
  });

  const processed = Object.values(counts.before).reduce((total, count) => total + count, 0);
  const result = { isDryRun, ...thresholds, processed, succeeded: processed, failed: 0, ...counts };
  logger.log('Job complete', TAG, result);
  return result;
};

/** Those that the rule says something of. */
const openWorkflows = (db: Knex) =>
  db('workflow')
    .where({ status: 'open' })
    .whereNotNull('dueAt')
    .whereExists(db('patient').whereRaw('patient.id = workflow."patientId"').whereNull('patient.deletedAt'));

const priorityByRule = ({ urgentAfterDays, highAfterDays, lowBeforeDays }: Thresholds): Knex.Raw =>
  knex.raw(
    `case when "dueAt" < now() - ? * interval '1 day' then 'urgent'
          when "dueAt" < now() - ? * interval '1 day' then 'high'
          when "dueAt" > now() + ? * interval '1 day' then 'low'
          else 'normal' end`,
    [urgentAfterDays, highAfterDays, lowBeforeDays],
  );

/** So many workflows have one priority, and another, or the same, by the rule. */
interface Move {
  readonly from: Priority;
  readonly to: Priority;
  readonly count: number;
}

const countMoves = (db: Knex, rule: Knex.Raw): Promise<Move[]> =>
  db
    .from(openWorkflows(db).select('priority as from', db.raw('? as "to"', [rule])).as('move'))
    .groupBy('from', 'to')
    .select('from', 'to', db.raw('count(*)::int as count'));

const sum = (moves: readonly Move[]): number => moves.reduce((total, { count }) => total + count, 0);

/** Every priority, so that the answer always has the same shape. */
const sumBy = (moves: readonly Move[], end: 'from' | 'to'): Record<Priority, number> => {
  const of = (priority: Priority) => sum(moves.filter((move) => move[end] === priority));
  return { urgent: of('urgent'), high: of('high'), normal: of('normal'), low: of('low') };
};

const main: ScriptHandler = async (req) => updateWorkflowPriorities(req.body);
export default main;
