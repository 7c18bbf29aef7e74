/** What the watching thread is given. */
export interface WatchedBy {
  /** [0] is counted up by the event loop; [1] is how many bytes of `text` there are, or -1 while nothing is to be watched. */
  readonly counters: SharedArrayBuffer;
  /** UTF-8: what is going on, for the last line of the log. */
  readonly text: SharedArrayBuffer;
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
  const { counters, text, tickMs, mostTicks, isStructured } = workerData as WatchedBy;
  const shared = new Int32Array(counters);
  let last = -1;
  let stillFor = 0;
  setInterval(() => {
    const count = Atomics.load(shared, 0);
    const length = Atomics.load(shared, 1);
    stillFor = count === last && length >= 0 ? stillFor + 1 : 0;
    last = count;
    if (stillFor !== mostTicks) return;
    const active = Buffer.from(text).toString('utf8', 0, length) || 'none';
    const message = `The event loop was blocked for ${(tickMs * mostTicks) / 1_000} s: ending the process. Active runs: ${active}`;
    const time = new Date().toISOString();
    const line = isStructured ? `${JSON.stringify({ severity: 'CRITICAL', time, message })}\n` : `${time} ERROR [watchdog] ${message}\n`;
    // Straight to the file: the log's own stream belongs to the thread that is blocked. And not by writeSync: a pipe that
    // nobody reads would throw, or hold this thread too. The end comes with the line or without it.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1_000);
    write(1, line, () => process.kill(process.pid, 'SIGKILL'));
  }, tickMs);
}
