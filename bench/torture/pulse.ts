import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const PAUSE_MS = 10;

/** What looking at /healthz came to. */
export interface PulseReading {
  /** ms that the slowest answer took. */
  readonly slowest: number;
  /** Answers that never came, or were no 200. */
  readonly failed: number;
}

/** Looks at /healthz again and again until end(), from a thread of its own: this one may be busy with what it sends. */
export function startPulse(url: string): { end(): Promise<PulseReading> } {
  const thread = new Worker(LOOK, { eval: true, execArgv: [], workerData: { url: `${url}/healthz`, pause: PAUSE_MS } });
  return {
    async end() {
      const found = once(thread, 'message');
      thread.postMessage('end');
      const [reading] = (await found) as [PulseReading];
      await thread.terminate();
      return reading;
    },
  };
}

/** Plain JavaScript, since the thread runs it without a loader. */
const LOOK = `
  const { parentPort, workerData: { url, pause } } = require('node:worker_threads');
  const found = { slowest: 0, failed: 0 };
  let isOver = false;
  parentPort.on('message', () => (isOver = true));
  (async function look() {
    const began = performance.now();
    const isAnswered = await fetch(url).then((answer) => answer.text().then(() => answer.status === 200), () => false);
    if (!isAnswered) found.failed++;
    found.slowest = Math.max(found.slowest, performance.now() - began);
    if (isOver) parentPort.postMessage(found);
    else setTimeout(look, pause);
  })();
`;
