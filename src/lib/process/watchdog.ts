import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import logger from '../logging.js';
import type { RunBoard } from './run-board.js';
import { watch, type WatchedBy } from './watchdog-thread.js';

export interface WatchdogOptions {
  /** ms that the event loop may stand still. */
  readonly limitMs: number;
  /** The runs that are active. */
  readonly board: RunBoard;
  /** The log is Google Cloud's structured JSON. */
  readonly isStructured: boolean;
}

const TAG = 'watchdog';
const MOST_TICKS = 10;

/**
 * Watches the event loop from a thread of its own: when a job holds it up (an endless loop) for longer than `limitMs`, the
 * thread says in the log which runs were active, and ends the process, whose runs are then found lost. Nothing inside the loop could.
 * It counts its own ticks and not the time, so that a machine that slept is not taken for one that hangs. While a debugger
 * is attached it does not watch: a breakpoint stands still too.
 * @returns a function that ends the watching
 */
export function startWatchdog({ limitMs, board, isStructured }: WatchdogOptions): () => Promise<void> {
  const tickMs = limitMs / MOST_TICKS;
  const watched: WatchedBy = {
    counters: new SharedArrayBuffer(8),
    board: board.layout,
    tickMs,
    mostTicks: MOST_TICKS,
    isStructured,
  };
  const counters = new Int32Array(watched.counters);
  const beat = (): void => {
    Atomics.store(counters, 1, inspector.url() === undefined ? 1 : 0);
    Atomics.add(counters, 0, 1);
  };
  beat();
  const timer = setInterval(beat, tickMs / 2).unref();
  const thread = new Worker(`(${watch.toString()})()`, { eval: true, workerData: watched, execArgv: [] });
  thread.on('error', (error) => logger.error(error, { tag: TAG, note: 'nobody watches the event loop any more' }));
  thread.unref();
  return async () => {
    clearInterval(timer);
    await thread.terminate();
  };
}
