import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import logger from '../logging.js';
import type { Failure } from './page-outcome.js';
import { RowFailed } from './reported-failures.js';

const TAG = 'process-in-batches';
const MOST_LINES = 100;
const MOST_KEYS_A_LINE = 10;

/** Tells of failed rows by their keys: never by the rows themselves, which may hold what must not be in a log. */
export class FailureLog {
  readonly #keep: (key: JSONData, error: unknown, trx?: Knex.Transaction) => void;
  #lines = 0;

  /** @param keep has the run keep one failed row */
  constructor(keep: (key: JSONData, error: unknown, trx?: Knex.Transaction) => void) {
    this.#keep = keep;
  }

  add(failures: readonly Failure[]): void {
    this.log(failures);
    this.keep(failures);
  }

  /** @param trx they are kept if it commits */
  keep(failures: readonly Failure[], trx?: Knex.Transaction): void {
    for (const { keys, error } of failures) for (const key of keys) this.#keep(key, error, trx);
  }

  log(failures: readonly Failure[]): void {
    for (const failure of failures) this.#log(failure);
  }

  #log({ keys, error }: Failure): void {
    if (this.#lines >= MOST_LINES) return;
    const which = keys.length === 1 ? { key: keys[0] } : { rows: keys.length, keys: keys.slice(0, MOST_KEYS_A_LINE) };
    if (error instanceof RowFailed) logger.warn(`Failed: ${error.message}`, TAG, which);
    else logger.error(error, { tag: TAG, ...which });
    if (++this.#lines === MOST_LINES) logger.warn('Further failed rows are counted, and kept with the run, but not logged', TAG);
  }
}
