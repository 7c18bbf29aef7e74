import type { Knex } from 'knex';
import { describeError } from '../lib/errors/error-description.js';
import { fingerprintOf } from '../lib/errors/fingerprint.js';
import { toJson } from '../lib/json/json.js';
import { inPieces, MOST_ARRAY_BYTES, pieceLength } from '../lib/database/piece-length.js';
import type { Scrubber } from '../lib/personal-data/scrubber.js';
import type { KeptFailure } from './records/failures.js';
import type { FailedItem } from '../lib/run-scope.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import { toStorableText } from '../lib/text/storable-text.js';

/** The most failed items that are kept with a run; what the run's own counts say of them has no limit. */
const MOST_KEPT = 10_000;
const PIECE = { mostItems: 500, mostBytes: MOST_ARRAY_BYTES, bytesOf: ({ key, message }: KeptFailure) => key.length + message.length };

type Write = (failures: readonly KeptFailure[], trx?: Knex.Transaction) => Promise<void>;

/** The failed items of one run on their way to the database. */
export class RunFailureBuffer {
  readonly #write: Write;
  readonly #onError: (error: unknown) => void;
  #waiting: KeptFailure[] = [];
  /** Those of transactions: what is rolled back is forgotten. */
  readonly #inTransactions = new WeakMap<Knex.Transaction, { readonly kept: KeptFailure[]; items: number }>();
  /** How many were kept, and so the number of the next one. */
  #kept = 0;
  #items = 0;

  /** @param write harmless when repeated @param onError hears of a write that failed; its items are tried again */
  constructor(write: Write, onError: (error: unknown) => void) {
    this.#write = write;
    this.#onError = onError;
  }

  /** How many items failed, those that were not kept too. Those of a transaction count from its commit on. */
  get items(): number {
    return this.#items;
  }

  /** @param trx the transaction it failed in; it waits for flushIn @param scrubber for the message, not for the key, by which the item is found */
  add({ key, error }: FailedItem, trx?: Knex.Transaction, scrubber?: Scrubber): void {
    const waiting = trx ? this.#waitingIn(trx) : undefined;
    if (waiting) waiting.items++;
    else this.#items++;
    if (this.#kept >= MOST_KEPT) return;
    const { name, message } = describeError(error, scrubber?.text);
    (waiting?.kept ?? this.#waiting).push({
      seq: this.#kept++,
      key: toStorableJson(toJson(key).text ?? 'null', 2_048),
      message: toStorableText(message || name, 2_048),
      fingerprint: fingerprintOf(name, message),
    });
  }

  /** Writes, in `trx`, what waits for it. @throws whatever the statement throws */
  async flushIn(trx: Knex.Transaction): Promise<void> {
    const waiting = this.#inTransactions.get(trx);
    if (!waiting) return;
    this.#inTransactions.delete(trx);
    for (const failures of inPieces(waiting.kept, PIECE)) await this.#write(failures, trx);
    void trx.executionPromise.then(() => (this.#items += waiting.items), () => undefined);
  }

  #waitingIn(trx: Knex.Transaction): { readonly kept: KeptFailure[]; items: number } {
    const waiting = this.#inTransactions.get(trx) ?? { kept: [], items: 0 };
    this.#inTransactions.set(trx, waiting);
    return waiting;
  }

  /** Writes what waits. Never rejects: what could not be written waits on. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const failures = this.#waiting.slice(0, pieceLength(this.#waiting, PIECE));
      try {
        await this.#write(failures);
      } catch (error) {
        return this.#onError(error);
      }
      // Two flushes at once write the same ones twice, which changes nothing, and both take them away.
      this.#waiting = this.#waiting.filter(({ seq }) => seq > failures.at(-1)!.seq);
    }
  }
}
