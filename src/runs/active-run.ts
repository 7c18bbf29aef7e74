import { isNativeError } from 'node:util/types';
import type { Knex } from 'knex';
import type { JSONData } from '../jobs/helpers.js';
import { orUndefined } from '../lib/errors/or-undefined.js';
import { toJson } from '../lib/json/json.js';
import type { RunFailureBuffer } from './failure-buffer.js';
import type { RunNews } from './heartbeat.js';
import { RunDatabase } from '../lib/run-knex/run-database.js';
import type { Scrubber } from '../lib/personal-data/scrubber.js';
import type { RunLogBuffer } from './log-buffer.js';
import { type CurrentRun, type FailedItem, type LogLine, runInScope, type RunProgress, type RunScope } from '../lib/run-scope.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import { openFailures, openLog } from './outputs.js';
import { saveCursor } from './records/cursor.js';

/** What an active run starts with. */
export interface ActiveRunStart {
  readonly id: string;
  readonly attempt: number;
  readonly jobName: string;
  readonly isDryRun: boolean;
  readonly timeoutMs: number;
  readonly trace: string | undefined;
  readonly cursor: JSONData | undefined;
  readonly onlyKeys: readonly JSONData[] | undefined;
  /** Items that failed in earlier attempts from which this one goes on. */
  readonly failedBefore: number;
  readonly countWrites: 'exact' | undefined;
  /** Keeps the personal data of its body out of what it leaves behind. */
  readonly scrubber: Scrubber | undefined;
}

/** Written by the service itself, on the job's connections. */
const UNCOUNTED = ['batch_job_run_cursor', 'batch_job_run_failure'];

/** ms that a cancelled job gets to end by itself, roll back and say its last words. */
const CANCEL_GRACE_MS = 5_000;

/** The fields that its constructor gives it. */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- they are written down once, in ActiveRunStart.
export interface ActiveRun extends Omit<ActiveRunStart, 'onlyKeys'> {}

/**
 * A run that is going in this process: what its job sees of it, where its records go, how it is told to stop, and how its
 * caller is freed when it does not. One is made for every run, so what few runs need is made when it is asked for.
 */
export class ActiveRun implements CurrentRun, RunScope {
  /** performance.now() until which the database takes this process for alive. */
  leaseUntil = 0;
  /** It was given up on: how its work settles later changes nothing. */
  hasGivenUp = false;
  /** Undefined for a run that has logged nothing. */
  log: RunLogBuffer | undefined;
  /** Undefined for a run without failed items. */
  failures: RunFailureBuffer | undefined;
  /** Undefined for a run that never used the database. */
  openedDatabase: RunDatabase | undefined;
  #progress: RunProgress | undefined;
  /** JSON texts that were told before. */
  #toldProgress: string | undefined;
  #toldWrites: string | undefined;
  #startedAt = Date.now();
  readonly #onlyKeys: readonly JSONData[] | undefined;
  #hasAskedForKeys = false;
  #toldFailedItems = 0;
  readonly #outer: RunScope | undefined;
  #controller: AbortController | undefined;
  #stopReason: Error | undefined;
  #isOver = false;
  #giveUp: ((reason: Error | undefined) => void) | undefined;

  /** @param outer the run in which it was started */
  constructor({ onlyKeys, ...start }: ActiveRunStart, outer?: RunScope) {
    Object.assign(this, start);
    this.#onlyKeys = onlyKeys;
    this.#toldFailedItems = start.failedBefore;
    this.#outer = outer;
  }

  /** As a scope, its run is itself. */
  get run(): CurrentRun {
    return this;
  }

  /** Its work begins now, and so does the time it has for it. */
  begin(): void {
    this.#startedAt = Date.now();
  }

  /** That the job asks for it is kept with the run: one that never does cannot do just the items that failed. */
  get onlyKeys(): readonly JSONData[] | undefined {
    this.#hasAskedForKeys = true;
    return this.#onlyKeys;
  }

  /** Whether the job has asked for its onlyKeys. */
  get hasAskedForKeys(): boolean {
    return this.#hasAskedForKeys;
  }

  /** How many items failed, in all attempts since the run last began anew. */
  get failedItems(): number {
    return this.failedBefore + (this.failures?.items ?? 0);
  }

  get deadline(): Date {
    return new Date(this.#startedAt + this.timeoutMs);
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#stopReason) this.#controller.abort(this.#stopReason);
    }
    return this.#controller.signal;
  }

  get database(): RunDatabase {
    if (!this.openedDatabase) {
      this.openedDatabase = new RunDatabase(this, UNCOUNTED, this.#outer?.database);
      // Asked for by what the job has left behind: it is refused.
      if (this.#isOver) void this.openedDatabase.close();
    }
    return this.openedDatabase;
  }

  /** Stops, rolls back and gives back what the job has left open, and refuses it the database from now on. Never rejects. */
  async closeDatabase(): Promise<void> {
    this.#isOver = true;
    await this.openedDatabase?.close();
  }

  keepLine(line: LogLine): void {
    this.log ??= openLog(this);
    this.log.add(line);
  }

  progress(progress: RunProgress): void {
    this.#progress = progress;
  }

  /** How far it is and what it has written, as JSON texts, and how many items failed, as far as that changed since it was last asked for. */
  news(): RunNews | undefined {
    if (!this.#progress && !this.openedDatabase && !this.failures) return undefined;
    // Inside: what the job reported may have code of its own (getters).
    const progress = this.#progress && runInScope(this, () => progressText(this.#progress!, this.scrubber));
    const writes = this.openedDatabase && JSON.stringify(this.openedDatabase.writes);
    const { failedItems } = this;
    const news = {
      failedItems: failedItems === this.#toldFailedItems ? undefined : failedItems,
      // It is not told that it never asks: it may ask yet.
      asksForKeys: this.#hasAskedForKeys || undefined,
      progress: progress === this.#toldProgress ? undefined : progress,
      writes: writes === this.#toldWrites || (writes === '{}' && !this.#toldWrites) ? undefined : writes,
    };
    this.#toldProgress = progress;
    this.#toldWrites = writes;
    this.#toldFailedItems = failedItems;
    return news.progress === undefined && news.writes === undefined && news.failedItems === undefined ? undefined : news;
  }

  /** @param redone keys of failed items, reported since the last checkpoint, that are not behind this cursor: a resumed run does them again */
  async checkpoint(cursor: JSONData, trx?: Knex.Transaction, redone?: readonly JSONData[]): Promise<void> {
    const behind = this.failures?.mark(redone, trx);
    // Before the cursor, which passes over them: after a kill it must not be all that is known of them.
    await this.failures?.flush();
    if (trx) await this.failures?.flushIn(trx);
    await saveCursor(this, cursor, trx, behind);
  }

  failure(item: FailedItem, trx?: Knex.Transaction): void {
    this.failures ??= openFailures(this);
    this.failures.add(item, trx, this.scrubber);
  }

  /** Why it was told to stop; undefined while it was not. */
  get stopReason(): Error | undefined {
    return this.#stopReason;
  }

  /** Asks the job to stop: its signal fires, with `reason`. Whoever waits for the job goes on waiting. */
  askToStop(reason: Error): void {
    if (this.#stopReason) return;
    this.#stopReason = reason;
    this.#controller?.abort(reason);
  }

  /** Asks the job to stop, and gives it a while to do so. */
  cancel(reason: Error): void {
    this.askToStop(reason);
    setTimeout(() => this.giveUp(reason), CANCEL_GRACE_MS).unref();
  }

  /** Stops waiting for the job: untilSettled rejects with `reason`, or with the one that it was asked to stop for before. */
  giveUp(reason: Error): void {
    this.hasGivenUp = true;
    this.askToStop(reason);
    this.#giveUp?.(this.#stopReason);
  }

  /**
   * Settles as `work` does, or rejects as soon as giveUp is called.
   * @param late hears how `work` settled once that changes nothing any more
   */
  untilSettled<T>(work: Promise<T>, late: (thrown?: unknown) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      if (this.hasGivenUp) reject(this.#stopReason);
      work.then(
        (value) => (this.hasGivenUp ? late() : resolve(value)),
        (thrown: unknown) => (this.hasGivenUp ? late(thrown) : reject(thrown)),
      );
    });
  }

  /**
   * What `thrown` by the job means: the reason it was asked to stop, when it is what Node's own functions (AbortError) or
   * the run's queries (RunStopped) make of that; else itself.
   */
  meaningOf(thrown: unknown): unknown {
    return this.#stopReason && isStop(thrown) ? this.#stopReason : thrown;
  }
}

/** With the progress of others it goes in one statement, so it may be neither large nor such that it breaks that statement. */
const MOST_PROGRESS_BYTES = 4_096;

function progressText(progress: RunProgress, scrubber: Scrubber | undefined): string {
  // It is the job's own object, whose getters may throw.
  const text = orUndefined(() => toJson(progress).text) ?? '{}';
  return toStorableJson(scrubber ? scrubber.json(text) : text, MOST_PROGRESS_BYTES);
}

function isStop(thrown: unknown): boolean {
  try {
    // Node's own may be of another realm, as in a test.
    return (thrown instanceof Error || isNativeError(thrown)) && (thrown.name === 'AbortError' || thrown.name === 'RunStopped');
  } catch {
    return false; // A Proxy that throws when it is looked at.
  }
}
