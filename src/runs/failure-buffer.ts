import type { Knex } from 'knex';
import type { JSONData } from '../jobs/helpers.js';
import { describeError } from '../lib/errors/error-description.js';
import { fingerprintOf } from '../lib/errors/fingerprint.js';
import { toJson } from '../lib/json/json.js';
import { patiently } from '../lib/database/patiently.js';
import { inPieces, MOST_ARRAY_BYTES, pieceLength } from '../lib/database/piece-length.js';
import type { Scrubber } from '../lib/personal-data/scrubber.js';
import type { FailuresBehind } from './records/cursor.js';
import type { KeptFailure } from './records/failures.js';
import type { FailedItem } from '../lib/run-scope.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import { toStorableText } from '../lib/text/storable-text.js';

/** The most failed items that are kept with a run; what the run's own counts say of them has no limit. */
const MOST_KEPT = 10_000;
const PIECE = { mostItems: 500, mostBytes: MOST_ARRAY_BYTES, bytesOf: ({ key, message }: KeptFailure) => key.length + message.length };

export interface FailureBufferOptions {
  /** Harmless when repeated. */
  readonly write: (failures: readonly KeptFailure[], trx?: Knex.Transaction) => Promise<void>;
  /** How many of this attempt's are committed. */
  readonly count: () => Promise<number>;
  /** Hears of a write that failed, and whose items are tried again; and of a count that failed. */
  readonly onError: (error: unknown) => void;
}

interface InTransaction {
  readonly kept: KeptFailure[];
  unkept: number;
}

/** The failed items of one attempt of a run on their way to the database. */
export class RunFailureBuffer {
  readonly #options: FailureBufferOptions;
  #waiting: KeptFailure[] = [];
  /** Those of transactions: what is rolled back is forgotten. */
  readonly #inTransactions = new WeakMap<Knex.Transaction, InTransaction>();
  /** Whether any were written in a transaction. Only then is it not known here which are kept. */
  #hadTransactions = false;
  #isSettled = false;
  /** The number of the next one that is kept. */
  #next = 0;
  #kept = 0;
  #unkept = 0;

  constructor(options: FailureBufferOptions) {
    this.#options = options;
  }

  /**
   * How many items failed, those that were not kept too. Those of a transaction count from its commit on. One that is rolled back without
   * an error, or with the transaction around it, is taken for committed until settle().
   */
  get items(): number {
    return this.#kept + this.#unkept;
  }

  /** @param trx the transaction it failed in; it waits for flushIn @param scrubber for the message, not for the key, by which the item is found */
  add({ key, error }: FailedItem, trx?: Knex.Transaction, scrubber?: Scrubber): void {
    const waiting = trx && this.#waitingIn(trx);
    if (this.#next >= MOST_KEPT) {
      if (waiting) waiting.unkept++;
      else this.#unkept++;
      return;
    }
    if (!waiting) this.#kept++;
    const { name, message } = describeError(error, scrubber?.text);
    (waiting?.kept ?? this.#waiting).push({
      seq: this.#next++,
      key: keyText(key),
      message: toStorableText(message || name, 2_048),
      fingerprint: fingerprintOf(name, message),
    });
  }

  /**
   * Which of those so far are behind a cursor that is saved now.
   * @param trx the transaction that the cursor is saved in
   * @param redone keys of items that are not behind it, and were reported since the last checkpoint
   */
  mark(redone: readonly JSONData[] = [], trx?: Knex.Transaction): FailuresBehind {
    const unkept = this.#unkept + ((trx && this.#inTransactions.get(trx)?.unkept) ?? 0);
    const seq = this.#next;
    if (redone.length === 0) return { seq, unkept };
    const keys = new Set(redone.map(keyText));
    const later = this.#waiting.filter(({ key }) => keys.has(key));
    this.#waiting = [...this.#waiting.filter(({ key }) => !keys.has(key)), ...later.map((failure) => ({ ...failure, seq: this.#next++ }))];
    return { seq, unkept: Math.max(0, unkept - (redone.length - later.length)) };
  }

  /** Writes, in `trx`, what waits for it. @throws whatever the statement throws */
  async flushIn(trx: Knex.Transaction): Promise<void> {
    const waiting = this.#inTransactions.get(trx);
    if (!waiting) return;
    this.#inTransactions.delete(trx);
    for (const failures of inPieces(waiting.kept, PIECE)) await this.#options.write(failures, trx);
    const count = (): void => {
      if (!this.#isSettled) this.#kept += waiting.kept.length;
      this.#unkept += waiting.unkept;
    };
    void trx.executionPromise.then(count, () => undefined);
  }

  #waitingIn(trx: Knex.Transaction): InTransaction {
    const waiting = this.#inTransactions.get(trx) ?? { kept: [], unkept: 0 };
    this.#inTransactions.set(trx, waiting);
    this.#hadTransactions = true;
    return waiting;
  }

  /** Writes what waits. Never rejects: what could not be written waits on. */
  async flush(): Promise<void> {
    await this.#writeAll().catch(this.#options.onError);
  }

  /** @throws what kept a piece from being written; the pieces before it are */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const failures = this.#waiting.slice(0, pieceLength(this.#waiting, PIECE));
      await this.#options.write(failures);
      // Two flushes at once write the same ones twice, which changes nothing, and both take them away.
      this.#waiting = this.#waiting.filter(({ seq }) => seq > failures.at(-1)!.seq);
    }
  }

  /**
   * At the run's end, once no transaction of it is open: writes what waits, and counts what was committed. A fault that may pass is tried
   * again for `patienceMs`, since a retry of the failed items needs them. Never rejects.
   */
  async settle(patienceMs: number): Promise<void> {
    await patiently(() => this.#writeAll(), patienceMs).catch(this.#options.onError);
    if (!this.#hadTransactions) return;
    try {
      this.#kept = (await patiently(this.#options.count, patienceMs)) + this.#waiting.length;
      this.#isSettled = true;
    } catch (error) {
      this.#options.onError(error);
    }
  }
}

const keyText = (key: JSONData): string => toStorableJson(toJson(key).text ?? 'null', 2_048);
