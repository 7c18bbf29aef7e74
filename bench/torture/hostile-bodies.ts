import { randomFrom } from '../harness/random.js';
import { rounded } from '../harness/statistics.js';
import { bodyKinds } from './body-kinds.js';
import { type Ground, JOBS, type Target } from './ground.js';
import { overConnections } from './raw-connection.js';
import { countUp, Faults, tally, under, none, type Verdict } from './verdict.js';

export interface HostileBodiesOptions {
  readonly bodies: number;
  readonly seed: number;
}

const CONNECTIONS = 8;
const ADDRESSES = ['/jobs/echo', '/jobs/accept', '/jobs/accept/rehearse', '/scripts/echo'];
const MOST_GROWTH_MB = 64;
/** A warm-up takes each kind to each address several times: the allocator has its working set then, and keeps it. */
const WARM_UP_ROUNDS = 24;

/**
 * Sends bodies that are meant to do harm, over raw connections. Memory is read from within, by a job that has everything
 * collected first (node --expose-gc), after a warm-up of the same kinds and at the end: what is left then is held for good.
 */
export async function hostileBodies(ground: Ground, { bodies, seed }: HostileBodiesOptions): Promise<Verdict> {
  const target = await ground.serve({ jobs: JOBS, nodeArgs: ['--expose-gc'] });
  try {
    const kinds = bodyKinds();
    const statuses = new Map<number | string, number>();
    const faults = new Faults();
    const send = (count: number, from: number) => overConnections(target.url, count, CONNECTIONS, async (at, connection) => {
      const n = from + at;
      const kind = kinds[n % kinds.length]!;
      const address = ADDRESSES[Math.floor(n / kinds.length) % ADDRESSES.length]!;
      const { headers, body, ...options } = kind.make(randomFrom(seed + n));
      const head = [`POST ${address} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n');
      const answer = await connection.ask(Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), Buffer.from(body)]), options);
      if (kind.spoils) connection.close();
      countUp(statuses, answer?.status ?? 'closed');
      // Whoever hangs up, or breaks the protocol, need not be answered.
      if (answer ? answer.status >= 500 : !kind.spoils) faults.add(`${kind.name}, ${address}: ${answer ? `${answer.status} ${answer.body}` : 'no answer'}`);
    });
    const warmUp = kinds.length * WARM_UP_ROUNDS;
    await send(warmUp, 0);
    const before = await memoryOf(target);
    await send(bodies, warmUp);
    const after = await memoryOf(target);
    const grown = (field: keyof Memory) => rounded((after[field] - before[field]) / 2 ** 20, 1);
    return {
      figures: [
        { what: `${bodies.toLocaleString('en')} hostile bodies of ${kinds.length} kinds`, measured: tally(statuses), bound: 'no 5xx', holds: faults.count === 0 },
        none('... answered with 5xx, or not at all', faults.count),
        under('... growth of the heap and of what it holds outside', rounded(grown('heapUsed') + grown('external'), 1), MOST_GROWTH_MB, 'MB'),
        under('... growth of resident memory', grown('rss'), MOST_GROWTH_MB, 'MB'),
      ],
      examples: faults.examples,
    };
  } finally {
    await target.stop();
  }
}

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

async function memoryOf({ url }: Target): Promise<Memory> {
  const answer = await fetch(`${url}/jobs/memory-usage`, { method: 'POST' });
  if (!answer.ok) throw new Error(`memory-usage answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as Memory;
}
