import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { JSONData } from '../../jobs/helpers.js';
import { onDatabaseClose } from '../../lib/database/database.js';
import { claimPool, recorderPool } from '../../lib/database/service-pools.js';
import { envConfig } from '../../lib/env-config.js';
import logger from '../../lib/logging.js';
import { runOutsideScope } from '../../lib/run-scope.js';
import type { Delivery } from './new-run.js';
import { type RunStatus, sqlMayBecome } from './run-status.js';

const TAG = 'run-claim';
const PAUSE_MS = 500;

/** A run as one needs to know it to tell whose it is. */
export interface FoundRun extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  readonly status: RunStatus;
  /** The claim that made it run. A claim's id is made for that claim alone, so whatever has it was started by it. */
  readonly claim: string | null;
  readonly cursor: JSONData | null;
  readonly onlyKeys: readonly JSONData[] | null;
  readonly failedItems: number | null;
  /** The run that was in its way, where it was skipped. */
  readonly activeRunId: string | null;
  /** What its caller was told of that; null for a delivery. */
  readonly skipDetail: string | null;
}

/** The run with that id, or else that of an earlier delivery of the same key. */
export async function findClaimed(id: string, delivery: Delivery | undefined): Promise<FoundRun | undefined> {
  const { rows } = await claimPool.query<FoundRun>({
    text: `select id, attempt, status, claim, "onlyKeys", "failedItems", (select cursor from batch_job_run_cursor where "runId" = run.id) as cursor,
             case status when 'skipped' then coalesce(result, error -> 'data') ->> 'activeRunId' end as "activeRunId",
             case status when 'skipped' then error ->> 'detail' end as "skipDetail"
           from batch_job_run run where id = $1 or "deliveryKey" = $2 order by id = $1 desc limit 1`,
    values: [id, delivery?.key],
  });
  return rows[0];
}

/** The error's name of a run that was claimed, and that nobody has begun. */
export const NOT_STARTED = 'RunNotStarted';

/** ms. A statement that nobody waits for any more may still be waiting for a lock, and commit after that (lock_timeout). */
const LATEST_COMMIT_MS = 3_000;
/** The reaper takes care of those beyond this number, once their leases have passed. */
const MOST_DOUBTFUL = 10_000;

interface Doubt {
  /** performance.now() when the claim was given up. */
  readonly since: number;
  readonly resolve: () => void;
}

const doubtful = new Map<string, Doubt>();
let isClearing = false;
let isCloseHeard = false;

/**
 * What a claim started without anybody knowing is a failure, so that it can be started again. However many claims are in doubt, after
 * an outage say, one statement at a time clears them up. Never rejects.
 * @returns once it is cleared up, or there turned out to be nothing to clear up
 */
export function abandonClaim(claim: string): Promise<void> {
  if (doubtful.size >= MOST_DOUBTFUL) return Promise.resolve();
  return new Promise((resolve) => {
    doubtful.set(claim, { since: performance.now(), resolve });
    // It is no line of the run in which the first of them was asked for.
    if (!isClearing) void runOutsideScope(clearUp);
  });
}

/** One that somebody holds locked is tried again, and left to the reaper after a while. */
async function clearUp(): Promise<void> {
  isClearing = true;
  if (!isCloseHeard) {
    isCloseHeard = true;
    // It must not open the database again.
    onDatabaseClose(async () => {
      isCloseHeard = false;
      [...doubtful.keys()].forEach(dismiss);
    });
  }
  for (; doubtful.size > 0; await delay(PAUSE_MS, undefined, { ref: false })) {
    const asked = performance.now();
    try {
      const failed = await failAll([...doubtful.keys()]);
      for (const [claim, { since }] of doubtful) if (failed.has(claim) || asked - since > LATEST_COMMIT_MS) dismiss(claim);
    } catch (fault) {
      logger.warn('Runs whose start is in doubt could not be cleared up yet', TAG, { runs: doubtful.size, fault });
      for (const [claim, { since }] of doubtful) if (asked - since > envConfig().outcomeDeadline) dismiss(claim);
    }
  }
  isClearing = false;
}

function dismiss(claim: string): void {
  doubtful.get(claim)?.resolve();
  doubtful.delete(claim);
}

/** The mark of a claim, or for a run that was made with others in one statement its id: whoever takes such a run later marks it. */
const CLAIM = 'coalesce(claim, id)';

/** @returns the claims whose runs it has ended */
async function failAll(claims: readonly string[]): Promise<ReadonlySet<string>> {
  const error = JSON.stringify({ name: NOT_STARTED, message: 'The answer to its start was lost, so the job was not run.' });
  const { rows } = await recorderPool.query<{ claim: string }>({
    text: `update batch_job_run set status = 'failed', error = $2, "finishedAt" = now(), "leaseUntil" = null
           where id in (select id from batch_job_run where ${CLAIM} = any($1::uuid[]) and ${sqlMayBecome('status', 'failed')} order by id for update skip locked)
           returning ${CLAIM} as claim`,
    values: [claims, error],
  });
  return new Set(rows.map(({ claim }) => claim));
}
