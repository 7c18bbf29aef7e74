import { setTimeout as delay } from 'node:timers/promises';
import { isLocked, mayPass } from '../errors/postgres-fault.js';

const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Does what may be repeated, again while its fault may pass (a lost connection, a deadlock), until `patienceMs` have gone by.
 * @throws the last fault
 */
export async function patiently<T>(work: () => Promise<T>, patienceMs: number): Promise<T> {
  const until = performance.now() + patienceMs;
  for (let pause = SHORTEST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      if (!mayPass(error) || performance.now() > until) throw error;
      // Jitter, so that replicas that lost the same server do not come back in step.
      // Whoever waited for a lock has held a connection for as long as a statement may wait: others have their turn first.
      await delay((isLocked(error) ? LONGEST_PAUSE_MS : pause) * (0.5 + Math.random()));
    }
  }
}
