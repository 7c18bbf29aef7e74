import type { JSONData } from '../../jobs/helpers.js';
import type { Done } from './batch-progress.js';
import type { PageSink } from './page-sink.js';

/** Rows that failed by one error. */
export interface Failure {
  readonly keys: readonly JSONData[];
  readonly error: unknown;
}

/** How the rows of one page ended so far. */
export class PageOutcome implements PageSink {
  readonly failures: Failure[] = [];
  #succeeded = 0;
  #failed = 0;
  readonly #keys: readonly JSONData[];
  readonly #ends: ('succeeded' | 'failed' | undefined)[];
  readonly #onChange: (failure?: Failure) => void;

  /** @param onChange hears of every row, or batch, that ended; it may throw to end the pass */
  constructor(keys: readonly JSONData[], onChange: (failure?: Failure) => void) {
    this.#keys = keys;
    this.#ends = keys.map(() => undefined);
    this.#onChange = onChange;
  }

  succeeded(places: readonly number[]): void {
    this.#succeeded += places.length;
    for (const place of places) this.#ends[place] = 'succeeded';
    this.#onChange();
  }

  failed(places: readonly number[], error: unknown): void {
    this.#failed += places.length;
    for (const place of places) this.#ends[place] = 'failed';
    const failure = { keys: places.map((place) => this.#keys[place]!), error };
    this.failures.push(failure);
    this.#onChange(failure);
  }

  /** All rows that ended. */
  get ended(): Done {
    return { processed: this.#succeeded + this.#failed, succeeded: this.#succeeded, failed: this.#failed };
  }

  /** The keys of the rows that failed, from the one at `place` on. */
  failedFrom(place: number): JSONData[] {
    return this.#keys.filter((_, at) => at >= place && this.#ends[at] === 'failed');
  }

  /** The rows that ended before the first one that did not. */
  leading(): Done {
    const open = this.#ends.indexOf(undefined);
    const ends = open < 0 ? this.#ends : this.#ends.slice(0, open);
    const failed = ends.filter((end) => end === 'failed').length;
    return { processed: ends.length, succeeded: ends.length - failed, failed };
  }
}
