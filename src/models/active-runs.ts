import type { ActiveRun } from '../lib/active-run.js';
import { RunInterrupted, ServiceError } from '../lib/service-error.js';
import { dropLease, keepLease } from './run-lease.js';

const active = new Set<ActiveRun>();
let isStopping = false;
let onIdle: (() => void) | undefined;

/** The runs that are going in this process. */
export const activeRuns = (): ReadonlySet<ActiveRun> => active;

/** @throws {ServiceError} 503 once the service is stopping */
export function refuseWhenStopping(): void {
  if (isStopping) throw new ServiceError(503, 'The service is stopping and takes no new runs. Send it again.', { retryAfterSeconds: 5 });
}

/** Counts the run as active and keeps its lease, until removeActiveRun. */
export function addActiveRun(run: ActiveRun): void {
  active.add(run);
  keepLease(run);
  // Its row was being written when the others were asked.
  if (isStopping) run.askToStop(new RunInterrupted());
}

export function removeActiveRun(run: ActiveRun): void {
  active.delete(run);
  dropLease(run);
  if (active.size === 0) onIdle?.();
}

/**
 * Takes no new runs, asks the active ones to stop, and waits until each has its outcome recorded. After `graceMs` it gives
 * up on those that still work, which are then recorded as `interrupted`.
 */
export async function stopActiveRuns(graceMs: number): Promise<void> {
  isStopping = true;
  if (active.size === 0) return;
  const idle = new Promise<void>((resolve) => {
    onIdle = resolve;
  });
  for (const run of active) run.askToStop(new RunInterrupted());
  const timer = setTimeout(() => {
    for (const run of active) run.giveUp(new RunInterrupted());
  }, graceMs);
  await idle;
  clearTimeout(timer);
}
