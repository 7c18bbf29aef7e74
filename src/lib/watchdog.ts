import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import logger from './logging.js';
import { watch, type WatchedBy } from './watchdog-thread.js';

export interface WatchdogOptions {
  /** ms that the event loop may stand still. */
  readonly limitMs: number;
  /** What is going on, asked for several times a second. */
  readonly describe: () => string;
  /** The log is Google Cloud's structured JSON. */
  readonly isStructured: boolean;
}

const TAG = 'watchdog';
const MOST_TEXT_BYTES = 4_096;
const MOST_TICKS = 10;

/**
 * Watches the event loop from a thread of its own: when a job holds it up (an endless loop) for longer than `limitMs`, the
 * thread says which runs were going, and ends the process, whose runs are then found lost. Nothing inside the loop could.
 * It counts its own ticks and not the time, so that a machine that slept is not taken for one that hangs. While a debugger
 * is attached it does not watch: a breakpoint stands still too.
 * @returns a function that ends the watching
 */
export function startWatchdog({ limitMs, describe, isStructured }: WatchdogOptions): () => Promise<void> {
  const tickMs = limitMs / MOST_TICKS;
  const watched: WatchedBy = {
    counters: new SharedArrayBuffer(8),
    text: new SharedArrayBuffer(MOST_TEXT_BYTES),
    tickMs,
    mostTicks: MOST_TICKS,
    isStructured,
  };
  const counters = new Int32Array(watched.counters);
  const text = new Uint8Array(watched.text);
  const encoder = new TextEncoder();
  const beat = (): void => {
    if (inspector.url() !== undefined) Atomics.store(counters, 1, -1);
    else Atomics.store(counters, 1, encoder.encodeInto(describe(), text).written);
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
