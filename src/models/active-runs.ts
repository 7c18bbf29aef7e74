import type { ActiveRun } from '../lib/active-run.js';
import { RunBoard } from '../lib/run-board.js';
import { RunInterrupted, ServiceError } from '../lib/service-error.js';
import { dropLease, keepLease } from './run-lease.js';

const active = new Set<ActiveRun>();
/** Runs whose row is being written. */
let starting = 0;
let isStopping = false;
let isGivingUp = false;
let onIdle: (() => void) | undefined;

/** The runs that are going in this process. */
export const activeRuns = (): ReadonlySet<ActiveRun> => active;

/** The same, for the watchdog's thread. */
export const runBoard = new RunBoard();

/**
 * To be called before a run's row is written, and followed by endStart, whatever comes of it.
 * @param isNested it is part of a run that is active, which may end well within its grace
 * @throws {ServiceError} 503 once the service is stopping
 */
export function beginStart(isNested: boolean): void {
  if (isStopping && !isNested) throw new ServiceError(503, 'The service is stopping and takes no new runs. Send it again.', { retryAfterSeconds: 5 });
  starting++;
  runBoard.starting = starting;
}

export function endStart(): void {
  starting--;
  runBoard.starting = starting;
  tellIdle();
}

/**
 * Counts the run as active and keeps its lease, until removeActiveRun.
 * @param since performance.now() before its row was written
 */
export function addActiveRun(run: ActiveRun, since: number): void {
  active.add(run);
  runBoard.add(run);
  keepLease(run, since);
  // Its row was being written when the others were told.
  if (isGivingUp) run.giveUp(new RunInterrupted());
  else if (isStopping) run.askToStop(new RunInterrupted());
}

export function removeActiveRun(run: ActiveRun): void {
  if (active.delete(run)) runBoard.remove(run);
  dropLease(run);
  tellIdle();
}

function tellIdle(): void {
  if (active.size === 0 && starting === 0) onIdle?.();
}

/** ms before the grace is over, in which the outcomes of those that were given up on are written. */
const LAST_WORDS_MS = 1_000;

/**
 * Takes no new runs, asks the active ones to stop, and waits until each has its outcome recorded. Shortly before `graceMs`
 * is over it gives up on those that still work, which are then recorded as `interrupted`.
 */
export async function stopActiveRuns(graceMs: number): Promise<void> {
  isStopping = true;
  if (active.size === 0 && starting === 0) return;
  const idle = new Promise<void>((resolve) => {
    onIdle = resolve;
  });
  for (const run of active) run.askToStop(new RunInterrupted());
  const timer = setTimeout(() => {
    isGivingUp = true;
    for (const run of active) run.giveUp(new RunInterrupted());
  }, Math.max(graceMs - LAST_WORDS_MS, graceMs / 2));
  await idle;
  clearTimeout(timer);
}
