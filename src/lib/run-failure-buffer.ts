import { describeError } from './error-description.js';
import { fingerprintOf } from './fingerprint.js';
import { toJson } from './json.js';
import type { FailedItem } from './run-scope.js';
import { toStorableJson } from './storable-json.js';
import { toStorableText } from './storable-text.js';

/** A failed item as it is kept, numbered from 0. */
export interface KeptFailure {
  readonly seq: number;
  /** JSON text. */
  readonly key: string;
  readonly message: string;
  /** The same for failures of the same kind. */
  readonly fingerprint: string;
}

/** The most failed items that are kept with a run; what the run's own counts say of them has no limit. */
const MOST_KEPT = 10_000;
const MOST_AT_ONCE = 500;

/** The failed items of one run on their way to the database. */
export class RunFailureBuffer {
  readonly #write: (failures: readonly KeptFailure[]) => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #waiting: KeptFailure[] = [];
  #count = 0;

  /** @param write harmless when repeated @param onError hears of a write that failed; its items are tried again */
  constructor(write: (failures: readonly KeptFailure[]) => Promise<void>, onError: (error: unknown) => void) {
    this.#write = write;
    this.#onError = onError;
  }

  add({ key, error }: FailedItem): void {
    if (this.#count >= MOST_KEPT) return;
    const { name, message } = describeError(error);
    this.#waiting.push({
      seq: this.#count++,
      key: toStorableJson(toJson(key).text ?? 'null', 2_048),
      message: toStorableText(message || name, 2_048),
      fingerprint: fingerprintOf(name, message),
    });
  }

  /** Writes what waits. Never rejects: what could not be written waits on. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const failures = this.#waiting.slice(0, MOST_AT_ONCE);
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
