import { setTimeout as delay } from 'node:timers/promises';
import { atMost } from '../process/at-most.js';
import { MOST_ARRAY_BYTES, type PieceBounds, pieceLength } from './piece-length.js';
import { isLocked, isRefusedData, mayPass } from '../errors/postgres-fault.js';

export interface WriteBatcherOptions<Item, Result> {
  /** One statement for all the items; its results in their order. Must be harmless when repeated: it may have been done. */
  readonly write: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** The most items for one statement. */
  readonly maxBatch?: number;
  /** The bytes of an item, about; default: none to speak of. */
  readonly bytesOf?: (item: Item) => number;
  /** The most bytes for one statement; an item that is bigger goes alone. */
  readonly maxBytes?: number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  /** performance.now() after which a fault that may pass is final for this item. */
  readonly deadline: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

const SHORTEST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** All batchers share it: each such try may hold a connection for as long as a statement may wait, and the others must have some left. */
const atMostTwo = atMost(2);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Group commit: while one statement is in flight the next items gather, and go together in the next one. Each caller
 * still waits for its own commit. One statement at a time, so items are written in the order they came.
 */
export class WriteBatcher<Item, Result> {
  readonly #write: (items: readonly Item[]) => Promise<readonly Result[]>;
  readonly #bounds: PieceBounds<Waiting<Item, Result>>;
  #waiting: Waiting<Item, Result>[] = [];
  #isWriting = false;
  #pause = SHORTEST_PAUSE_MS;

  constructor({ write, maxBatch = 500, bytesOf = () => 0, maxBytes = MOST_ARRAY_BYTES }: WriteBatcherOptions<Item, Result>) {
    this.#write = write;
    this.#bounds = { mostItems: maxBatch, mostBytes: maxBytes, bytesOf: ({ item }) => bytesOf(item) };
  }

  /**
   * Resolves once the item is committed. A fault that may pass (a connection lost, a deadlock) is tried again, with
   * growing pauses, until `patienceMs` have gone by; any other fault rejects at once, and harms no other item.
   */
  add(item: Item, patienceMs: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, deadline: performance.now() + patienceMs, resolve, reject });
      if (!this.#isWriting) void this.#drain();
    });
  }

  /** Never rejects: every fault reaches the item it belongs to. */
  async #drain(): Promise<void> {
    this.#isWriting = true;
    // What the same turn of the event loop brings goes along: requests that came together, runs that were released together.
    for (await turn(); this.#waiting.length > 0; await turn()) {
      const batch = this.#waiting.splice(0, pieceLength(this.#waiting, this.#bounds));
      const fault = await this.#tryWrite(batch);
      if (fault === undefined) this.#pause = SHORTEST_PAUSE_MS;
      else await this.#recover(batch, fault.error);
    }
    this.#isWriting = false;
  }

  async #tryWrite(batch: readonly Waiting<Item, Result>[]): Promise<{ error: unknown } | undefined> {
    try {
      const results = await this.#write(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, at) => resolve(results[at] as Result));
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  async #recover(batch: readonly Waiting<Item, Result>[], error: unknown): Promise<void> {
    // Some row is locked. Which one, the others find out beside those that come next, which must not wait for it.
    if (isLocked(error)) return batch.forEach((waiting) => void this.#tryAlone(waiting, error, batch.length === 1));
    if (mayPass(error)) return this.#tryAgainLater(batch, error);
    if (batch.length === 1 || !isRefusedData(error)) return batch.forEach(({ reject }) => reject(error));
    // One bad row must not fail its neighbours.
    for (const waiting of batch) {
      const fault = await this.#tryWrite([waiting]);
      if (fault !== undefined) await this.#recover([waiting], fault.error);
    }
  }

  /** Beside the others, since it may take long. @param wasAlone the fault is its own, and not that of others it went with. Never rejects. */
  async #tryAlone(waiting: Waiting<Item, Result>, error: unknown, wasAlone: boolean): Promise<void> {
    let fault: { error: unknown } | undefined = { error };
    for (let hasFailed = wasAlone; fault && mayPass(fault.error) && waiting.deadline > performance.now(); hasFailed = true) {
      if (hasFailed) await delay(LONGEST_PAUSE_MS * (0.5 + Math.random()));
      fault = await atMostTwo(() => this.#tryWrite([waiting]));
    }
    if (fault) waiting.reject(fault.error);
  }

  async #tryAgainLater(batch: readonly Waiting<Item, Result>[], error: unknown): Promise<void> {
    const now = performance.now();
    for (const { deadline, reject } of batch) if (deadline <= now) reject(error);
    const patient = batch.filter(({ deadline }) => deadline > now);
    this.#waiting.unshift(...patient);
    if (patient.length === 0) return;
    // Jitter, so that replicas that lost the same server do not come back in step.
    await delay(this.#pause * (0.5 + Math.random()));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }
}
