import type { ActiveRun } from './active-run.js';
import { envConfig } from '../lib/env-config.js';
import { RunBoard } from '../lib/process/run-board.js';
import { RunInterrupted, ServiceError } from '../lib/errors/service-error.js';
import { dropLease, keepLease } from './heartbeat.js';

const active = new Set<ActiveRun>();
/** Those of them that are part of another run. */
const nested = new Set<ActiveRun>();
/** Requests that run a job, or are about to. */
let places = 0;
/** Runs whose row is being written. */
let starting = 0;
let isStopping = false;
let isGivingUp = false;
let onIdle: (() => void) | undefined;

/** The runs that are going in this process. */
export const activeRuns = (): ReadonlySet<ActiveRun> => active;

/** The same, for the watchdog's thread. */
export const runBoard = new RunBoard();

/** Whether it is going in this process; false for one that is over, or has no row. */
export const isActive = (run: object): boolean => (active as ReadonlySet<object>).has(run);

/** Why no more runs are taken just now, or undefined while they are. */
export function whyNoPlace(): string | undefined {
  const { maxActiveRuns } = envConfig();
  if (places + nested.size < maxActiveRuns) return undefined;
  return `This process has ${maxActiveRuns} active runs, and takes no more (MAX_ACTIVE_RUNS). Send it again.`;
}

/**
 * Takes one of the MAX_ACTIVE_RUNS places, from before a run starts until it has ended. Counted at once, so that a burst cannot
 * exceed it. A run inside another needs none, since the outer one waits for it; it counts all the same.
 * @returns what gives the place back
 * @throws {ServiceError} 503 when there is none
 */
export function takePlace(): () => void {
  const reason = whyNoPlace();
  if (reason !== undefined) throw new ServiceError(503, reason, { retryAfterSeconds: 5 });
  places++;
  let isTaken = true;
  return () => {
    if (isTaken) places--;
    isTaken = false;
  };
}

/** The service is stopping, and takes no new runs. */
export const isStoppingRuns = (): boolean => isStopping;

/**
 * To be called before a run's row is written, and followed by endStart, whatever comes of it.
 * @param isNested it is part of a run that is active, which may end well within its grace
 * @throws {ServiceError} 503 once the service is stopping
 */
export function beginStart(isNested: boolean): void {
  if (isStopping && !isNested) throw stoppingRefused();
  starting++;
  runBoard.starting = starting;
}

export const stoppingRefused = (): ServiceError => new ServiceError(503, 'The service is stopping and takes no new runs. Send it again.', { retryAfterSeconds: 5 });

export function endStart(): void {
  starting--;
  runBoard.starting = starting;
  tellIdle();
}

/**
 * Counts the run as active and keeps its lease, until removeActiveRun.
 * @param since performance.now() before its row was written
 * @param isNested it is part of a run that is active
 */
export function addActiveRun(run: ActiveRun, since: number, isNested: boolean): void {
  active.add(run);
  runBoard.add(run);
  if (isNested) nested.add(run);
  keepLease(run, since);
  // Its row was being written when the others were told.
  if (isGivingUp) run.giveUp(new RunInterrupted());
  else if (isStopping) run.askToStop(new RunInterrupted());
}

export function removeActiveRun(run: ActiveRun): void {
  if (active.delete(run)) runBoard.remove(run);
  nested.delete(run);
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
