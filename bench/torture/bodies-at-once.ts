import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { rounded } from '../harness/statistics.js';
import { type Ground, JOBS, type Target } from './ground.js';
import { RawConnection } from './raw-connection.js';
import { countUp, Faults, none, tally, under, type Figure, type Verdict } from './verdict.js';

export interface BodiesAtOnceOptions {
  readonly bodies: number;
  /** ms that a look at /healthz may take meanwhile: what the event loop was late by. */
  readonly mostDelay: number;
  /** MB of resident memory, at the most. */
  readonly mostMemory: number;
}

const BYTES = 1_000_000;
const LOOK_EVERY_MS = 10;

const fill = (part: string, before: string, after: string): string => before + Array.from({ length: Math.floor(BYTES / (part.length + 1)) }, () => part).join(',') + after;

/** Bodies of about 1 MB that are dear in one way or another. */
const KINDS: readonly { readonly name: string; readonly body: string }[] = [
  { name: 'one text full of quotes', body: JSON.stringify({ text: '"\\'.repeat(BYTES / 4) }) },
  { name: 'many small numbers', body: fill('1', '{"list":[', ']}') },
  { name: 'many empty objects', body: fill('{}', '{"list":[', ']}') },
  { name: 'many small fields', body: `{${Array.from({ length: 60_000 }, (_, n) => `"field${n}":"v"`).join(',')}}` },
  { name: 'many small objects', body: fill('{"name":"a","n":1,"ok":true}', '{"list":[', ']}') },
];

/** Sends many large bodies at the same moment, and measures what a look at /healthz takes meanwhile, and the memory. */
export async function bodiesAtOnce(ground: Ground, { bodies, mostDelay, mostMemory }: BodiesAtOnceOptions): Promise<Verdict> {
  const figures: Figure[] = [];
  const faults = new Faults();
  for (const [name, requests] of [...KINDS.map(({ name }, at) => [name, [REQUESTS[at]!]] as const), ['of all kinds', REQUESTS] as const]) {
    const target = await ground.serve({ jobs: JOBS });
    try {
      const statuses = new Map<number | string, number>();
      // Once before, so that what is measured is not how the code is loaded.
      await send(target, requests[0]!, new Map(), faults);
      const looking = lookAtHealth(target);
      const began = performance.now();
      await Promise.all(Array.from({ length: bodies }, (_, n) => send(target, requests[n % requests.length]!, statuses, faults)));
      const seconds = rounded((performance.now() - began) / 1_000, 1);
      const { slowest, failed } = await looking.end();
      figures.push(
        { what: `${bodies} bodies of 1 MB at once, ${name}, in ${seconds} s`, measured: tally(statuses), bound: '2xx or 503', holds: [...statuses.keys()].every((status) => status === 200 || status === 204 || status === 503) },
        under('... slowest /healthz meanwhile', rounded(slowest, 1), mostDelay, 'ms'),
        none('... /healthz without an answer', failed),
        under('... most resident memory', rounded(peakMemory(target) / 1_024, 1), mostMemory, 'MB'),
      );
    } finally {
      await target.stop();
    }
  }
  return { figures: [...figures, none('large bodies whose caller got no clean answer', faults.count)], examples: faults.examples };
}

const HEAD = 'POST /jobs/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ';
const REQUESTS = KINDS.map(({ body }) => Buffer.from(`${HEAD}${Buffer.byteLength(body)}\r\n\r\n${body}`));

async function send(target: Target, request: Buffer, statuses: Map<number | string, number>, faults: Faults): Promise<void> {
  const connection = new RawConnection(target.url);
  try {
    const answer = await connection.ask(request);
    countUp(statuses, answer?.status ?? 'closed');
    if (!answer || (answer.status === 503 && answer.headers['retry-after'] === undefined)) faults.add(answer ? `503 without Retry-After: ${answer.body}` : 'no answer');
  } catch (error) {
    countUp(statuses, 'silent');
    faults.add(String(error));
  } finally {
    connection.close();
  }
}

/** Looks at /healthz again and again, from a thread of its own: this one is busy with the bodies. */
function lookAtHealth(target: Target): { end(): Promise<{ slowest: number; failed: number }> } {
  const thread = new Worker(LOOK, { eval: true, execArgv: [], workerData: { url: `${target.url}/healthz`, pause: LOOK_EVERY_MS } });
  return {
    async end() {
      const found = once(thread, 'message');
      thread.postMessage('end');
      const [result] = (await found) as [{ slowest: number; failed: number }];
      await thread.terminate();
      return result;
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

/** kB, since the process began (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html); 0 where the system has no such file. */
function peakMemory({ pid }: Target): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
