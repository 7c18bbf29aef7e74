import type pg from 'pg';
import { recorderPool } from '../../lib/database/service-pools.js';

interface AskedRow extends pg.QueryResultRow {
  readonly mayKeep: boolean;
}

/**
 * Whether the job of this run may keep to the keys it is given. False where the run never asked for them and no run of the job after it
 * did: its author has not mended it since. True where that is not known.
 */
export async function mayKeepToKeys(runId: string): Promise<boolean> {
  const { rows } = await recorderPool.query<AskedRow>({
    text: `select "asksForKeys" is not false
             or exists (select from batch_job_run later where later."jobName" = run."jobName" and later.id > run.id and later."asksForKeys") as "mayKeep"
           from batch_job_run run where id = $1`,
    values: [runId],
  });
  return rows[0]?.mayKeep ?? true;
}
