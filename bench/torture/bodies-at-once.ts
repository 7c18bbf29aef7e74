import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { rounded } from '../harness/statistics.js';
import { type Ground, JOBS, type Target } from './ground.js';
import { startPulse } from './pulse.js';
import { RawConnection } from './raw-connection.js';
import { countUp, Faults, none, tally, under, type Figure, type Verdict } from './verdict.js';

export interface BodiesAtOnceOptions {
  readonly bodies: number;
  /** ms that the server's event loop may be late by. */
  readonly mostDelay: number;
  /** ms that an answer of /healthz may take meanwhile: several turns of that loop, on processors that the callers and Postgres use too. */
  readonly mostWait: number;
  /** MB of resident memory, at the most. */
  readonly mostMemory: number;
}

const BYTES = 1_000_000;
const BETWEEN_ASKING_MS = 100;
/**
 * MB of V8's old space. Without a bound V8 lets garbage grow with the memory of the machine, which says nothing of what the
 * service holds; with it, a service that held more would run out of memory.
 */
const HEAP_MB = 256;

const fill = (part: string, before: string, after: string): string => before + Array.from({ length: Math.floor(BYTES / (part.length + 1)) }, () => part).join(',') + after;

/** Bodies of about 1 MB that are dear in one way or another. */
const KINDS: readonly { readonly name: string; readonly body: string }[] = [
  { name: 'one text full of quotes', body: JSON.stringify({ text: '"\\'.repeat(BYTES / 4) }) },
  { name: 'many small numbers', body: fill('1', '{"list":[', ']}') },
  { name: 'many empty objects', body: fill('{}', '{"list":[', ']}') },
  { name: 'many small fields', body: `{${Array.from({ length: 60_000 }, (_, n) => `"field${n}":"v"`).join(',')}}` },
  { name: 'many small objects', body: fill('{"name":"a","n":1,"ok":true}', '{"list":[', ']}') },
];

/** Sends many large bodies at the same moment, and measures what the event loop is late by meanwhile, what a look at /healthz takes, and the memory. */
export async function bodiesAtOnce(ground: Ground, { bodies, mostDelay, mostWait, mostMemory }: BodiesAtOnceOptions): Promise<Verdict> {
  const figures: Figure[] = [];
  const faults = new Faults();
  for (const [name, requests] of [...KINDS.map(({ name }, at) => [name, [REQUESTS[at]!]] as const), ['of all kinds', REQUESTS] as const]) {
    const target = await ground.serve({ jobs: JOBS, nodeArgs: [`--max-old-space-size=${HEAP_MB}`] });
    try {
      const statuses = new Map<number | string, number>();
      // Once before, so that what is measured is not how the code is loaded.
      await send(target, requests[0]!, new Map(), faults);
      await eventLoopDelay(target);
      const pulse = startPulse(target.url);
      const began = performance.now();
      await Promise.all(Array.from({ length: bodies }, (_, n) => send(target, requests[n % requests.length]!, statuses, faults)));
      const seconds = rounded((performance.now() - began) / 1_000, 1);
      const { slowest, failed } = await pulse.end();
      const late = await eventLoopDelay(target);
      figures.push(
        { what: `${bodies} bodies of 1 MB at once, ${name}, in ${seconds} s`, measured: tally(statuses), bound: '2xx or 503', holds: [...statuses.keys()].every((status) => status === 200 || status === 204 || status === 503) },
        under('... event loop late by, at most', rounded(late, 1), mostDelay, 'ms'),
        under('... slowest /healthz meanwhile', rounded(slowest, 1), mostWait, 'ms'),
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

/** The most that the server's event loop was late by since it was last asked. Asked until it is not too busy to answer. */
async function eventLoopDelay({ url }: Target): Promise<number> {
  for (;;) {
    const answer = await fetch(`${url}/jobs/event-loop-delay`, { method: 'POST' });
    const { most } = (await answer.json()) as { most?: number };
    if (answer.ok) return most!;
    if (answer.status !== 503) throw new Error(`event-loop-delay answered ${answer.status}`);
    await delay(BETWEEN_ASKING_MS);
  }
}

/** kB, since the process began (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html); 0 where the system has no such file. */
function peakMemory({ pid }: Target): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
