import type pg from 'pg';
import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';
import { recorderPool } from '../lib/service-pools.js';
import { RunLeaseLost } from '../lib/service-error.js';

const TAG = 'run-lease';

/** A running run, as far as its lease goes. */
export interface Leased {
  readonly id: string;
  /** performance.now() until which the database takes this process for alive. */
  leaseUntil: number;
  /** Called when the lease has passed all the same, or the row turns out to be no longer running. */
  askToStop(reason: Error): void;
}

const leases = new Set<Leased>();
let heartbeat: NodeJS.Timeout | undefined;
let isRenewing = false;

/** Keeps the lease of a run that this process has just started, until dropLease. */
export function keepLease(run: Leased): void {
  const { runLease } = envConfig();
  run.leaseUntil = performance.now() + runLease;
  leases.add(run);
  // It beats on once it was started, since runs come and go faster; and it holds no process back from exiting.
  heartbeat ??= setInterval(() => void renewLeases(), runLease / 3).unref();
}

export const dropLease = (run: Leased): void => void leases.delete(run);

/** Renews, with one statement, every lease that is not new. Never rejects. */
async function renewLeases(): Promise<void> {
  const asked = performance.now();
  for (const run of leases) if (run.leaseUntil < asked) run.askToStop(new RunLeaseLost());
  const { runLease } = envConfig();
  const due = [...leases].filter(({ leaseUntil }) => leaseUntil - asked < runLease * 0.75);
  if (due.length === 0 || isRenewing) return;
  isRenewing = true;
  try {
    const renewed = await extendLeases(due.map(({ id }) => id), runLease);
    for (const run of due) {
      // Counted from before the statement was sent, so that this process never believes in a lease that has passed.
      if (renewed.has(run.id)) run.leaseUntil = asked + runLease;
      else if (leases.has(run)) run.askToStop(new RunLeaseLost());
    }
  } catch (error) {
    logger.error(error, { tag: TAG, during: 'renewing leases', runs: due.length });
  } finally {
    isRenewing = false;
  }
}

interface LeaseRow extends pg.QueryResultRow {
  readonly id: string;
}

async function extendLeases(ids: readonly string[], leaseMs: number): Promise<Set<string>> {
  const { rows } = await recorderPool.query<LeaseRow>({
    text: `update batch_job_run set "leaseUntil" = now() + $2 * interval '1 ms'
           where id = any($1::uuid[]) and status = 'running' returning id`,
    values: [ids, leaseMs],
  });
  return new Set(rows.map(({ id }) => id));
}

interface LostRow extends pg.QueryResultRow {
  readonly id: string;
  readonly jobName: string;
  readonly host: string | null;
}

/**
 * Marks as `lost` every running run, of whichever process, whose lease has passed by the database's clock.
 * @returns those it marked
 */
export async function markLostRuns(): Promise<readonly LostRow[]> {
  const { rows } = await recorderPool.query<LostRow>({
    text: `update batch_job_run set status = 'lost', "finishedAt" = now(), "leaseUntil" = null,
             error = jsonb_build_object('name', 'RunLost', 'message', $1::text)
           where status = 'running' and "leaseUntil" < now() returning id, "jobName", host`,
    values: ['The lease passed: the process that ran it died, or lost the database.'],
  });
  return rows;
}
