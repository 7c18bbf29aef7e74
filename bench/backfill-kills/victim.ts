import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { BenchDatabase } from '../harness/bench-database.js';

/** What the run's row says. */
export interface RunRow extends pg.QueryResultRow {
  readonly id: string;
  readonly status: string;
  readonly attempt: number;
}

const PATIENCE_MS = 60_000;

/** Asks every few milliseconds. @throws {Error} after a minute */
export async function until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await delay(5)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`);
}

export const latestRun = async (database: BenchDatabase): Promise<RunRow | undefined> =>
  (await database.query<RunRow>('select id, status, attempt from batch_job_run order by id desc limit 1'))[0];

/** Counts the commits of the backfill as they happen, whichever process makes them. */
export class CommitCounter {
  count = 0;
  /** ms between two of them, smoothed. */
  interval = 10;
  #last: number | undefined;
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async listen(connection: pg.ClientConfig): Promise<CommitCounter> {
    const client = new pg.Client(connection);
    const counter = new CommitCounter(client);
    await client.connect();
    client.on('notification', () => counter.#hear());
    await client.query('listen counted_backfill');
    return counter;
  }

  /** A new attempt begins: what came before says nothing of its pace. */
  restart(): void {
    this.count = 0;
    this.#last = undefined;
  }

  close = (): Promise<void> => this.#client.end();

  #hear(): void {
    const now = performance.now();
    if (this.#last !== undefined) this.interval += (Math.min(now - this.#last, 100) - this.interval) / 10;
    this.#last = now;
    this.count++;
  }
}
