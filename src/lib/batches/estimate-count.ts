import type { Knex } from 'knex';
import knex from '../knex.js';
import { isQueryCanceled } from '../errors/postgres-fault.js';

/** The planner's units; a scan of some hundred thousand rows. A count above it is hardly done in the time that one may take. */
const MOST_COST = 50_000;
const MOST_COUNT_MS = 500;

interface Explained {
  readonly rows: readonly [{ 'QUERY PLAN': readonly [{ Plan: { 'Plan Rows': number; 'Total Cost': number } }] }];
}

/**
 * About how many rows `query` has, in half a second at most: counted where the planner takes that for cheap, else what the
 * planner believes. Undefined where Postgres does not say.
 */
export async function estimateCount(query: Knex.QueryBuilder): Promise<number | undefined> {
  const { rows } = await knex.raw<Explained>('explain (format json) ?', [query.clone()]);
  const { 'Plan Rows': estimate, 'Total Cost': cost } = rows[0]['QUERY PLAN'][0].Plan;
  return cost > MOST_COST ? estimate : ((await count(query)) ?? estimate);
}

async function count(query: Knex.QueryBuilder): Promise<number | undefined> {
  try {
    return await knex.transaction(async (trx) => {
      await trx.raw(`set local statement_timeout = ${MOST_COUNT_MS}`);
      const [found] = await trx.from(query.clearOrder().as('rows')).count<{ count: string }[]>('* as count');
      return Number(found!.count);
    });
  } catch (error) {
    if (isQueryCanceled(error)) return undefined;
    throw error;
  }
}
