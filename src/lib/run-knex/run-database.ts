import { RunStopped } from './errors.js';
import { queryTag } from './query-tag.js';
import { type CountedWrite, type RunWrites, WriteTotals } from './write-totals.js';

/** What the database has to know of a run. */
export interface DatabaseRun {
  readonly id: string;
  readonly jobName: string;
  readonly isDryRun: boolean;
  readonly signal: AbortSignal;
  /** 'exact': what its transactions write is counted by the server's own counters; default: by its answers to statements. */
  readonly countWrites?: 'exact' | undefined;
}

/** A connection that a run uses. No method rejects. */
export interface HeldConnection {
  /** Ends its query on the server, and rolls its transaction back. */
  stop(): Promise<void>;
  /** To the pool, or closes it. */
  giveBack(): Promise<void>;
  /** Has nothing left in its session of the run, which is over. */
  leave(run: RunDatabase): void;
}

/** A place in the queue for a connection. */
interface PendingConnection<Connection> {
  readonly promise: Promise<Connection>;
  abort(): void;
}

/**
 * What one run has of the database: its connections, its places in the queue for one, and what it wrote. Costs next to
 * nothing for a run that never asks for a connection.
 */
export class RunDatabase {
  readonly #run: DatabaseRun;
  readonly #uncounted: readonly string[];
  readonly #held = new Set<HeldConnection>();
  /** All that it ever had, as long as they are open. */
  readonly #used = new Set<HeldConnection>();
  readonly #pending = new Set<PendingConnection<unknown>>();
  readonly #totals = new WriteTotals();
  #tag: string | undefined;
  #isListening = false;
  #refusal: (() => RunStopped) | undefined;

  readonly #outer: RunDatabase | undefined;

  /**
   * @param uncounted tables of the service's own, whose writes in a job's transaction (its checkpoints) are not the job's
   * @param outer of the run in which it was started
   */
  constructor(run: DatabaseRun, uncounted: readonly string[] = [], outer?: RunDatabase) {
    this.#run = run;
    this.#uncounted = uncounted;
    this.#outer = outer;
  }

  /** Whether its run is `other`'s, or was started inside that. */
  isWithin(other: RunDatabase): boolean {
    return this === other || this.#outer?.isWithin(other) === true;
  }

  get isDryRun(): boolean {
    return this.#run.isDryRun;
  }

  get countsExactly(): boolean {
    return this.#run.countWrites === 'exact' && !this.#run.isDryRun;
  }

  /** The comment that goes before its statements. */
  get tag(): string {
    return (this.#tag ??= queryTag(this.#run));
  }

  /** What its queries fail with from now on; undefined while it may ask. */
  get refusal(): RunStopped | undefined {
    return this.#refusal?.();
  }

  /** What it has committed so far, as of this moment. */
  get writes(): RunWrites {
    return this.#totals.toJSON();
  }

  /** Adds what a transaction wrote. Called once it is committed. */
  addWrites(writes: readonly CountedWrite[]): void {
    for (const write of writes) if (!this.#uncounted.includes(write.table)) this.#totals.add(write);
  }

  /** Readies it for its first connection. @throws {RunStopped} when it may have none */
  open(): void {
    if (!this.#refusal && !this.#isListening) this.#listen();
    if (this.#refusal) throw this.#refusal();
  }

  /** Waits for a connection, until the run is stopped. */
  async waitFor<Connection>(pending: PendingConnection<Connection>): Promise<Connection> {
    this.#pending.add(pending);
    try {
      return await pending.promise;
    } finally {
      this.#pending.delete(pending);
    }
  }

  hold(connection: HeldConnection): void {
    this.#held.add(connection);
    this.#used.add(connection);
  }

  letGo(connection: HeldConnection): void {
    this.#held.delete(connection);
  }

  /** The connection is closed. */
  lose(connection: HeldConnection): void {
    this.#held.delete(connection);
    this.#used.delete(connection);
  }

  /** Refuses its next queries, leaves the queue, and ends on the server what it has in flight. */
  async stop(reason: unknown = this.#run.signal.reason): Promise<void> {
    this.#refusal ??= () => new RunStopped(reason ?? new Error('The run was stopped'));
    await this.#stopAll();
  }

  /** The run is over: what its job left open is stopped, rolled back and given back, and later queries are refused. Never rejects. */
  async close(): Promise<void> {
    this.#refusal ??= () => new RunStopped();
    if (this.#isListening) this.#run.signal.removeEventListener('abort', this.#onAbort);
    if (this.#held.size > 0 || this.#pending.size > 0) {
      await this.#stopAll();
      await Promise.all(Array.from(this.#held, (connection) => connection.giveBack()));
    }
    // Not waited for: whoever gets one of them next waits for it.
    for (const connection of this.#used) connection.leave(this);
    this.#used.clear();
  }

  /** Only now, since most runs never get here, and an AbortSignal is made when it is asked for. */
  #listen(): void {
    this.#isListening = true;
    const { signal } = this.#run;
    if (signal.aborted) void this.stop();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => void this.stop();

  async #stopAll(): Promise<void> {
    for (const pending of this.#pending) pending.abort();
    await Promise.all(Array.from(this.#held, (connection) => connection.stop()));
  }
}
