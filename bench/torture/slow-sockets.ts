import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { rounded } from '../harness/statistics.js';
import { type Ground, JOBS } from './ground.js';
import { under, type Verdict } from './verdict.js';

export interface SlowSocketsOptions {
  readonly sockets: number;
  /** ms that a healthy request may take at its 99th percentile. */
  readonly mostP99: number;
  /** s until all must have been closed. */
  readonly mostSeconds: number;
}

/** And what the machine may be late by, before the measurement ends in vain. */
const PATIENCE_MS = 60_000;
const TRICKLE_MS = 1_000;

/** Ways to keep a server waiting: headers, or a body, that come a byte at a time or not at all. */
const WAYS: readonly ((socket: net.Socket) => string)[] = [
  () => 'GET /jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ',
  () => 'POST /jobs/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"a":"',
  () => 'POST /jobs/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{"a":"',
  () => 'G',
];

/** Holds many slow connections open, and measures what a healthy caller notices, and when the last of them is closed. */
export async function slowSockets(ground: Ground, { sockets, mostP99, mostSeconds }: SlowSocketsOptions): Promise<Verdict> {
  const target = await ground.serve({ jobs: JOBS });
  const { hostname, port } = new URL(target.url);
  const open = new Set<net.Socket>();
  try {
    const since = performance.now();
    for (let n = 0; n < sockets; n++) {
      const socket = net.connect({ host: hostname, port: Number(port) });
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => open.delete(socket)).resume();
      socket.write(WAYS[n % WAYS.length]!(socket));
    }
    const trickle = setInterval(() => open.forEach((socket) => socket.writable && socket.write('x')), TRICKLE_MS);
    const times: number[] = [];
    while (open.size > 0 && performance.now() - since < PATIENCE_MS) {
      const began = performance.now();
      const answer = await fetch(`${target.url}/jobs/no-op`, { method: 'POST' });
      if (answer.status !== 204) throw new Error(`a healthy request got ${answer.status}`);
      times.push(performance.now() - began);
      await delay(20);
    }
    clearInterval(trickle);
    const seconds = rounded((performance.now() - since) / 1_000, 1);
    const p99 = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
    return {
      figures: [
        under(`${sockets} slow sockets: p99 of a healthy request meanwhile`, rounded(p99, 1), mostP99, 'ms'),
        under('... until the last of them was closed', seconds, mostSeconds, 's'),
      ],
      examples: open.size > 0 ? [`${open.size} slow sockets were still open after ${PATIENCE_MS} ms`] : [],
    };
  } finally {
    for (const socket of open) socket.destroy();
    await target.stop();
  }
}
