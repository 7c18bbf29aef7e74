import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { JSONData } from '../../jobs/helpers.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { envConfig } from '../../lib/env-config.js';
import logger from '../../lib/logging.js';
import type { Delivery } from './new-run.js';
import { type RunStatus, sqlMayBecome } from './run-status.js';

const TAG = 'run-claim';
const PAUSE_MS = 500;

/** A run as one needs to know it to tell whose it is. */
export interface ClaimedRun extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  readonly status: RunStatus;
  /** The claim that made it run. A claim's id is made for that claim alone, so whatever has it was started by it. */
  readonly claim: string | null;
  readonly cursor: JSONData | null;
  readonly onlyKeys: readonly JSONData[] | null;
}

/** The run with that id, or else that of an earlier delivery of the same key. */
export async function findClaimed(id: string, delivery: Delivery | undefined): Promise<ClaimedRun | undefined> {
  const { rows } = await recorderPool.query<ClaimedRun>({
    text: `select id, attempt, status, claim, "onlyKeys", (select cursor from batch_job_run_cursor where "runId" = run.id) as cursor
           from batch_job_run run where id = $1 or "deliveryKey" = $2 order by id = $1 desc limit 1`,
    values: [id, delivery?.key],
  });
  return rows[0];
}

/** What a claim started without anybody knowing is a failure, so that it can be started again. Never rejects. */
export async function abandonClaim(claim: string): Promise<void> {
  const error = JSON.stringify({ name: 'RunNotStarted', message: 'The answer to its start was lost, so the job was not run.' });
  for (const until = performance.now() + envConfig().outcomeDeadline; performance.now() < until; await delay(PAUSE_MS)) {
    try {
      await recorderPool.query({
        text: `update batch_job_run set status = 'failed', error = $2, "finishedAt" = now(), "leaseUntil" = null
               where claim = $1 and ${sqlMayBecome('status', 'failed')}`,
        values: [claim, error],
      });
      return;
    } catch (fault) {
      logger.warn('A run whose start is in doubt could not be cleared up yet', TAG, { fault });
    }
  }
}
