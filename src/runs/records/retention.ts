import knex from '../../lib/knex.js';

/** Which runs are to stay. */
export interface RetentionRule {
  /** Whatever finished at this time or later. */
  readonly since: Date;
  /** So many of the newest runs of each job, however old. */
  readonly keepPerJob: number;
  /** This run: the one that prunes. */
  readonly exceptRunId: string | undefined;
}

/** Runs of one job that the rule lets go. */
export interface OldRuns {
  readonly jobName: string;
  readonly ids: readonly string[];
}

/** The time `days` before now, by the database's clock, which also wrote the runs' own times. */
async function daysAgo(days: number): Promise<Date> {
  const { rows } = await knex.raw<{ rows: { at: Date }[] }>(`select now() - ? * interval '1 day' as at`, [days]);
  return rows[0]!.at;
}

/**
 * The finished runs that `rule` lets go, oldest first, job by job, in batches of at most `batchSize`. Each query reads so
 * many rows at most, by the index on ("jobName", id), from where the one before it ended: what was deleted meanwhile is
 * not passed over again, and the last batch of ten million runs costs what the first does.
 */
async function* findOldRuns(rule: RetentionRule, batchSize: number): AsyncGenerator<OldRuns> {
  for await (const { jobName, newestToGo } of jobsWithMoreThan(rule.keepPerJob)) {
    let after = LEAST_UUID;
    for (;;) {
      const page = await readPage(jobName, { after, upTo: newestToGo, limit: batchSize }, rule);
      const ids = page.filter(({ isOld }) => isOld).map(({ id }) => id);
      if (ids.length > 0) yield { jobName, ids };
      const last = page.at(-1);
      // An id holds the time its row was made, and no run finishes before that: what follows is too young. (Where this page
      // had some all the same, the ids are younger than the runs, as those of an imported history are: then read on.)
      if (!last || page.length < batchSize || (ids.length === 0 && timeOf(last.id) >= rule.since.getTime())) break;
      after = last.id;
    }
  }
}

const LEAST_UUID = '00000000-0000-0000-0000-000000000000';
const GREATEST_UUID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
const JOBS_PER_PAGE = 500;

/** UUID v7: the first 48 bits are milliseconds (RFC 9562, 5.7). */
const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

// Both queries compare and sort by the pair ("jobName", id), though the name is given. With "jobName" = ... the primary key
// could serve the order too, and the planner takes it for a job that makes up most of the table: it then reads through all
// the runs of others where that job made a pause.

/** Each job that has more than `keep` runs, with the newest that is not among its `keep` newest. */
async function* jobsWithMoreThan(keep: number): AsyncGenerator<{ jobName: string; newestToGo: string }> {
  let after = '';
  for (;;) {
    const { rows } = await knex.raw<{ rows: { name: string; id: string | null }[] }>(
      `select job.name, newest.id
       from (select name from batch_job where name > :after order by name limit :limit) job
       left join lateral
         (select id from batch_job_run where ("jobName", id) between (job.name, :least) and (job.name, :greatest)
          order by "jobName" desc, id desc offset :keep limit 1) newest on true
       order by job.name`,
      { after, limit: JOBS_PER_PAGE, keep, least: LEAST_UUID, greatest: GREATEST_UUID },
    );
    for (const { name, id } of rows) if (id !== null) yield { jobName: name, newestToGo: id };
    if (rows.length < JOBS_PER_PAGE) return;
    after = rows.at(-1)!.name;
  }
}

/** The columns decide, and not the id: a run that waited long in the queue is younger than its id. */
const IS_OLD = `(status not in ('queued', 'running') and "finishedAt" < :since and id <> :exceptRunId)`;

const bindingsOf = ({ since, exceptRunId = LEAST_UUID }: RetentionRule) => ({ since, exceptRunId });

async function readPage(
  jobName: string,
  range: { after: string; upTo: string; limit: number },
  rule: RetentionRule,
): Promise<{ id: string; isOld: boolean }[]> {
  const { rows } = await knex.raw<{ rows: { id: string; isOld: boolean }[] }>(
    `select id, coalesce(${IS_OLD}, false) as "isOld" from batch_job_run
     where ("jobName", id) > (:jobName, :after) and ("jobName", id) <= (:jobName, :upTo) order by "jobName", id limit :limit`,
    { jobName, ...range, ...bindingsOf(rule) },
  );
  return rows;
}

/** What became, or would become, of old runs. */
export interface Deleted {
  /** Rows of batch_job_run_log. */
  readonly logLines: number;
  /** Ids of those that were left. */
  readonly kept: ReadonlySet<string>;
}

/**
 * Deletes these runs and their logs in one transaction. A run that is not old any more (it was started again since it was
 * found) or that another transaction holds stays, and is not waited for.
 */
function deleteOldRuns(ids: readonly string[], rule: RetentionRule): Promise<Deleted> {
  return knex.transaction(async (trx) => {
    const locked: string[] = await trx('batch_job_run').whereIn('id', [...ids]).whereRaw(IS_OLD, bindingsOf(rule)).forUpdate().skipLocked().pluck('id');
    // By a statement of its own, not by the foreign key's cascade, which goes run by run and tells no count.
    const logLines = await trx('batch_job_run_log').whereIn('runId', locked).delete();
    await trx('batch_job_run').whereIn('id', locked).delete();
    const gone = new Set(locked);
    return { logLines, kept: new Set(ids.filter((id) => !gone.has(id))) };
  });
}

/** What deleteOldRuns would delete. */
async function countOldRuns(ids: readonly string[]): Promise<Deleted> {
  const [lines] = await knex('batch_job_run_log').whereIn('runId', [...ids]).count<{ count: string }[]>('* as count');
  return { logLines: Number(lines!.count), kept: new Set() };
}

/** What goes from the tables batch_job_run and batch_job_run_log, and when. */
export const RunRetention = { daysAgo, findOldRuns, deleteOldRuns, countOldRuns };
