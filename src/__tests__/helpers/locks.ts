import pg from 'pg';
import { waitUntil } from './wait-until.js';

/** Another connection, which holds what its statement locks. */
export interface Lock {
  /** Resolves once so many others wait for a lock. @returns the pids of their backends */
  untilWaiting(others?: number): Promise<readonly number[]>;
  /** Resolves once another's statement has given up waiting (lock_timeout), and the next one waits. */
  untilWaitingAnew(): Promise<void>;
  /** Ends the backends with these pids, as a failover does. */
  terminate(pids: readonly number[]): Promise<void>;
  /** Gives the lock back, and closes the connection. What its statement wrote is as if it had not been. */
  release(): Promise<void>;
}

/** Runs the statement in a transaction that stays open until release(). */
export async function holdLock(url: string, statement: string, values: unknown[] = []): Promise<Lock> {
  const [holder, watcher] = [new pg.Client(url), new pg.Client(url)];
  for (const client of [holder, watcher]) {
    client.on('error', () => undefined);
    await client.connect();
  }
  await holder.query('begin');
  await holder.query(statement, values);
  const waiting = async (): Promise<WaitingBackend[]> =>
    (await watcher.query<WaitingBackend>(`select pid, query_start::text as since from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rows;
  let isHeld = true;
  const lock: Lock = {
    untilWaiting: (others = 1) =>
      waitUntil(`${others} wait for the lock`, async () => {
        const pids = (await waiting()).map(({ pid }) => pid);
        return pids.length >= others ? pids : undefined;
      }),
    async untilWaitingAnew() {
      const first = await waitUntil('somebody waits for the lock', async () => (await waiting())[0]);
      await waitUntil('the next try waits for the lock', async () => (await waiting()).some(({ pid, since }) => pid !== first.pid || since !== first.since));
    },
    async terminate(pids) {
      await watcher.query('select pg_terminate_backend(pid) from unnest($1::int[]) as waiting (pid)', [pids]);
    },
    async release() {
      if (isHeld) await Promise.all([holder.end(), watcher.end()]);
      isHeld = false;
    },
  };
  held.push(lock);
  return lock;
}

interface WaitingBackend {
  readonly pid: number;
  readonly since: string;
}

const held: Lock[] = [];
// A test that failed must not keep the next one waiting.
afterEach(() => Promise.all(held.splice(0).map((lock) => lock.release())));
