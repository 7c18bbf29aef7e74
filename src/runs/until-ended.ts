import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { recorderPool } from '../lib/database/service-pools.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { isStoppingRuns, stoppingRefused } from './active-runs.js';
import type { RunStatus } from './records/run-status.js';

const PAUSE_MS = 250;
/** Each one holds its caller's connection and body. */
const MOST_WAITING = 100;

interface Waiting {
  readonly runId: string;
  readonly resolve: (status: RunStatus | undefined) => void;
  readonly reject: (error: unknown) => void;
}

const waiting = new Set<Waiting>();
let isLooking = false;

/**
 * Waits until the run, of whichever process, has ended: its status then, or undefined once its row is gone. However many wait, one
 * statement at a time looks for all of them.
 * @throws the signal's reason once it fires
 * @throws {ServiceError} 503 when the service stops, or when too many wait already
 * @throws whatever keeps the database from answering
 */
export async function untilEnded(runId: string, signal: AbortSignal): Promise<RunStatus | undefined> {
  if (waiting.size >= MOST_WAITING) {
    throw new ServiceError(503, 'This delivery has a run already, and too many deliveries wait for theirs. Send it again.', { retryAfterSeconds: 5 });
  }
  return new Promise((resolve, reject) => {
    const stop = (): void => settle(() => reject(signal.reason as Error));
    const settle = (tell: () => void): void => {
      waiting.delete(entry);
      signal.removeEventListener('abort', stop);
      tell();
    };
    const entry: Waiting = { runId, resolve: (status) => settle(() => resolve(status)), reject: (error) => settle(() => reject(error as Error)) };
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop);
    waiting.add(entry);
    if (!isLooking) void look();
  });
}

/** Never rejects: every fault reaches those that wait. */
async function look(): Promise<void> {
  isLooking = true;
  for (; waiting.size > 0; await delay(PAUSE_MS)) {
    const asking = [...waiting];
    if (isStoppingRuns()) {
      asking.forEach(({ reject }) => reject(stoppingRefused()));
      continue;
    }
    try {
      const statuses = await statusesOf(new Set(asking.map(({ runId }) => runId)));
      for (const { runId, resolve } of asking) {
        const status = statuses.get(runId);
        if (status !== 'running' && status !== 'queued') resolve(status);
      }
    } catch (error) {
      asking.forEach(({ reject }) => reject(error));
    }
  }
  isLooking = false;
}

interface StatusRow extends pg.QueryResultRow {
  readonly id: string;
  readonly status: RunStatus;
}

async function statusesOf(ids: ReadonlySet<string>): Promise<Map<string, RunStatus>> {
  const { rows } = await recorderPool.query<StatusRow>({ text: 'select id, status from batch_job_run where id = any($1::uuid[])', values: [[...ids]] });
  return new Map(rows.map(({ id, status }) => [id, status]));
}
