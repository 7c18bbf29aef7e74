import { setTimeout as delay } from 'node:timers/promises';
import { ServiceError } from '../lib/errors/service-error.js';
import { isStoppingRuns, stoppingRefused } from './active-runs.js';
import { statusesOf } from './records/history.js';
import type { RunStatus } from './records/run-status.js';

const DELIVERY_PAUSE_MS = 250;
const PERSON_PAUSE_MS = 100;
/** The most deliveries that wait at once: each holds its caller's connection and body. */
const MOST_DELIVERIES = 100;

interface Waiting {
  readonly runId: string;
  readonly pauseMs: number;
  readonly resolve: (status: RunStatus | undefined) => void;
  readonly reject: (error: unknown) => void;
}

const waiting = new Set<Waiting>();
let isLooking = false;

/**
 * Waits until the run of a delivery, of whichever process, has ended: its status then, or undefined once its row is gone.
 * @throws the signal's reason once it fires
 * @throws {ServiceError} 503 when the service stops, or when too many deliveries wait already
 * @throws whatever keeps the database from answering
 */
export async function untilEnded(runId: string, signal: AbortSignal): Promise<RunStatus | undefined> {
  const deliveries = [...waiting].filter(({ pauseMs }) => pauseMs === DELIVERY_PAUSE_MS);
  if (deliveries.length >= MOST_DELIVERIES) {
    throw new ServiceError(503, 'This delivery has a run already, and too many deliveries wait for theirs. Send it again.', { retryAfterSeconds: 5 });
  }
  return wait(runId, signal, DELIVERY_PAUSE_MS);
}

/** Whether the run, of whichever process, ends within `ms`; for a person who asked it to. False too when the service stops meanwhile. @throws whatever keeps the database from answering */
export async function hasEndedWithin(runId: string, ms: number): Promise<boolean> {
  const enough = AbortSignal.timeout(ms);
  try {
    await wait(runId, enough, PERSON_PAUSE_MS);
    return true;
  } catch (error) {
    if (error === enough.reason || error instanceof ServiceError) return false;
    throw error;
  }
}

/** However many wait, one statement at a time looks for all of them. */
function wait(runId: string, signal: AbortSignal, pauseMs: number): Promise<RunStatus | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => dismiss(() => reject(signal.reason as Error));
    const dismiss = (tell: () => void): void => {
      waiting.delete(entry);
      signal.removeEventListener('abort', stop);
      tell();
    };
    const entry: Waiting = { runId, pauseMs, resolve: (status) => dismiss(() => resolve(status)), reject: (error) => dismiss(() => reject(error as Error)) };
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop);
    waiting.add(entry);
    if (!isLooking) void look();
  });
}

const shortestPause = (): number => [...waiting].reduce((shortest, { pauseMs }) => Math.min(shortest, pauseMs), DELIVERY_PAUSE_MS);

/** Never rejects: every fault reaches those that wait. */
async function look(): Promise<void> {
  isLooking = true;
  for (; waiting.size > 0; await delay(shortestPause())) {
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
