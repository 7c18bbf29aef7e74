import type { JSONData } from '../../jobs/helpers.js';
import logger from '../logging.js';
import type { Failure } from './page-outcome.js';

const TAG = 'process-in-batches';
const MOST_LINES = 100;
const MOST_KEYS_A_LINE = 10;

/** Tells of failed rows by their keys: never by the rows themselves, which may hold what must not be in a log. */
export class FailureLog {
  readonly #keep: (key: JSONData, error: unknown) => void;
  #lines = 0;

  /** @param keep has the run keep one failed row */
  constructor(keep: (key: JSONData, error: unknown) => void) {
    this.#keep = keep;
  }

  add(failures: readonly Failure[]): void {
    for (const failure of failures) {
      this.#log(failure);
      for (const key of failure.keys) this.#keep(key, failure.error);
    }
  }

  #log({ keys, error }: Failure): void {
    if (this.#lines >= MOST_LINES) return;
    const which = keys.length === 1 ? { key: keys[0] } : { rows: keys.length, keys: keys.slice(0, MOST_KEYS_A_LINE) };
    logger.error(error, { tag: TAG, ...which });
    if (++this.#lines === MOST_LINES) logger.warn('Further failed rows are counted, and kept with the run, but not logged', TAG);
  }
}
