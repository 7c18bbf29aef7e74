import type { BoardLayout } from './run-board.js';

/** What the watching thread is given. */
export interface WatchedBy {
  /** [0] is counted up by the event loop; [1] is 0 while nothing is to be watched. */
  readonly counters: SharedArrayBuffer;
  /** Which runs are active, for the last line of the log. */
  readonly board: BoardLayout;
  readonly tickMs: number;
  readonly mostTicks: number;
  readonly isStructured: boolean;
}

/**
 * The whole program of the watching thread. It is handed over as text, so it uses nothing from outside itself and names no
 * function inside: a file of its own would need loading in another way under each of Node, tsx and Jest.
 */
export function watch(): void {
  const { workerData } = process.getBuiltinModule('node:worker_threads');
  const { write } = process.getBuiltinModule('node:fs');
  const { counters, board, tickMs, mostTicks, isStructured } = workerData as WatchedBy;
  const shared = new Int32Array(counters);
  const numbers = new Int32Array(board.memory, 0, board.slots + 2);
  const texts = Buffer.from(board.memory, board.textsAt);
  let last = -1;
  let stillFor = 0;
  setInterval(() => {
    const count = Atomics.load(shared, 0);
    stillFor = count === last && Atomics.load(shared, 1) === 1 ? stillFor + 1 : 0;
    last = count;
    if (stillFor !== mostTicks) return;
    const activeRuns: { runId: string; jobName: string }[] = [];
    for (let slot = 0; slot < board.slots; slot++) {
      const length = Atomics.load(numbers, slot + 2);
      const text = texts.toString('utf8', slot * board.slotBytes, slot * board.slotBytes + length);
      if (length > 0) activeRuns.push({ runId: text.slice(0, text.indexOf(' ')), jobName: text.slice(text.indexOf(' ') + 1) });
    }
    const starting = Atomics.load(numbers, 0);
    const more = Atomics.load(numbers, 1) + Math.max(0, activeRuns.length - 10);
    const names = activeRuns.slice(0, 10).map(({ jobName, runId }) => `${jobName} ${runId}`);
    const message = `The event loop was blocked for ${(tickMs * mostTicks) / 1_000} s: ending the process. Active runs: ${names.join(', ') || 'none'}${more > 0 ? ` and ${more} more` : ''}${starting > 0 ? `; ${starting} starting` : ''}`;
    const data = { activeRuns, notListed: Atomics.load(numbers, 1), starting };
    const time = new Date().toISOString();
    // As log-format.ts has it.
    const line = isStructured
      ? JSON.stringify({
          severity: 'CRITICAL', message, time,
          'logging.googleapis.com/labels': { tag: 'watchdog', ...(activeRuns.length === 1 && activeRuns[0]) },
          '@type': 'type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent',
          data,
        })
      : `${time} ERROR [watchdog] ${message} ${JSON.stringify(data)}`;
    // Straight to the file: the log's own stream belongs to the thread that is blocked. And not by writeSync: a pipe that
    // nobody reads would throw, or hold this thread too. The end comes with the line or without it.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1_000);
    write(1, `${line}\n`, () => process.kill(process.pid, 'SIGKILL'));
  }, tickMs);
}
