import { AsyncResource } from 'node:async_hooks';

/** ms of long steps that one turn of the event loop may hold; a step that takes longer has a turn of its own. */
const BUDGET_MS = 10;

/** Steps that wait for a later turn, in the order they came. */
const waiting: (() => void)[] = [];
/** ms that steps have taken in this turn. */
let spentMs = 0;
let isNextTurnAsked = false;

/**
 * Runs a synchronous step that may take long: parsing or writing a large JSON text. Steps share the event loop fairly: once
 * those of one turn have taken 10 ms, the rest wait for the next turns, so that other requests, leases and timers come in between.
 * @returns what the step returns; rejects with what it throws
 */
export function inTurn<T>(step: () => T): Promise<Awaited<T>> {
  return new Promise((resolve, reject) => {
    const run = (): void => {
      const began = performance.now();
      try {
        resolve(step() as Awaited<T>);
      } catch (error) {
        reject(error);
      }
      spentMs += performance.now() - began;
    };
    if (spentMs < BUDGET_MS && waiting.length === 0) run();
    // In its caller's context: the turn may have been asked for inside a run, which is none of this step's.
    else waiting.push(AsyncResource.bind(run));
    askForNextTurn();
  });
}

function askForNextTurn(): void {
  if (isNextTurnAsked) return;
  isNextTurnAsked = true;
  setImmediate(beginTurn);
}

function beginTurn(): void {
  isNextTurnAsked = false;
  spentMs = 0;
  while (spentMs < BUDGET_MS && waiting.length > 0) waiting.shift()!();
  if (spentMs > 0) askForNextTurn();
}
