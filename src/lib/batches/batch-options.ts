import type { Knex } from 'knex';
import type { ThrottleCondition } from './throttle.js';

/** What goes with each call of the job's code. */
export interface BatchContext {
  /**
   * The batch's transaction (of a single item, its savepoint) with `transaction: true`, and else the jobs' knex. With the
   * former, only what is written through it commits with the batch.
   */
  readonly trx: Knex;
  /** The code is called in a dry run too: it reads and checks as ever, and leaves its effects outside the database undone. */
  readonly isDryRun: boolean;
  /** Fires when the run should stop. */
  readonly signal: AbortSignal;
}

/** What goes with each batch. */
export interface WholeBatchContext<Row> extends BatchContext {
  /**
   * Counts one row of the batch as failed, though the batch as such succeeds: it is logged by its key, and kept with the run.
   * @param reason no personal data
   */
  readonly fail: (row: Row, reason: string) => void;
}

/** A query as knex builds it, told from other iterables by toSQL. */
export type RowQuery<Row> = PromiseLike<readonly Row[]> & { toSQL(): unknown };

/** Where the rows come from. */
export type RowSource<Row> = RowQuery<Row> | AsyncIterable<Row> | Iterable<Row>;

interface CommonOptions<Row> {
  /**
   * A query of knex that selects rows, without order and limit; it is cloned, never changed. Or any iterable, async or not.
   * Or a function that returns one of them.
   */
  readonly query: RowSource<Row> | (() => RowSource<Row>);
  /**
   * The column, or columns, by which a query's rows are put in order and told apart: unique, never null, best with an index
   * on them in this order, and not changed by the work. 'patient.id' where two tables are joined. Default: 'id'. Of an iterable:
   * the fields that name an item where it fails; default: its number, from 1 on.
   */
  readonly key?: string | readonly string[];
  /** Rows a batch. Default: 1,000. */
  readonly batchSize?: number | undefined;
  /** At most so many rows, in all attempts of the run together. Default: all. */
  readonly limit?: number | undefined;
  /** Default: the run's own. A run that is a dry run stays one. */
  readonly isDryRun?: boolean | undefined;
  /**
   * Each batch is read, processed and recorded as done in one transaction, so that a run which is killed and resumed neither repeats nor
   * passes over a row's writes. Without it a batch is recorded after it was done, and a resumed run may do the last batch again.
   */
  readonly transaction?: boolean;
  /** Pauses before a batch while one of these gives a reason to. */
  readonly throttle?: ThrottleCondition | readonly ThrottleCondition[] | undefined;
  /**
   * More failures than this stop the run with TooManyFailures: a count (0: the first one does), or a share ('5%') of what this
   * attempt processed, looked at from 100 rows on and at the end. What was committed before stays.
   *
   * A run of which every row failed fails at its end, with EveryItemFailed, whatever stands here but `Infinity` and '100%'. They are
   * for a job that looks at the counts itself. Default: no bound, but not every row may fail.
   */
  readonly maxFailures?: number | `${number}%` | undefined;
  /** Whatever the code throws ends the run, as it stands; what fails is then only what `batch` gives to fail(). Default: false. */
  readonly stopOnError?: boolean;
  /**
   * For an iterable: it gives the same items in the same order each time, so that a resumed run may pass over those that were
   * done. Otherwise it starts again from the first one, and repeats. Default: false.
   */
  readonly isRepeatable?: boolean;
}

interface EachOptions<Row> extends CommonOptions<Row> {
  /** Called for every row. One that throws is logged by its key, kept with the run, and does not stop the others. */
  readonly each: (row: Row, context: BatchContext) => unknown;
  /** Calls that may be going at a time. Default: 1, which is all that a transaction can do. */
  readonly concurrency?: number;
  readonly batch?: undefined;
}

interface BatchOptions<Row> extends CommonOptions<Row> {
  /**
   * Called for every batch, never with none. With `transaction: true` one that throws is rolled back and tried again in halves,
   * until the rows are found that fail; without, all of its rows count as failed, since what it has done cannot be known.
   */
  readonly batch: (rows: readonly Row[], trx: Knex, context: WholeBatchContext<Row>) => unknown;
  readonly each?: undefined;
  readonly concurrency?: undefined;
}

export type ProcessInBatchesOptions<Row> = EachOptions<Row> | BatchOptions<Row>;

/** What a job may return as it is: of all attempts of the run together. */
export type BatchResult = {
  isDryRun: boolean;
  processed: number;
  succeeded: number;
  failed: number;
};

/** @throws {TypeError} when the options contradict each other, or one is out of range */
export function checkOptions<Row>({ each, batch, batchSize, limit, concurrency, transaction }: ProcessInBatchesOptions<Row>): void {
  if ((each === undefined) === (batch === undefined)) throw new TypeError('processInBatches takes either `each` or `batch`');
  checkCount('batchSize', batchSize, 1);
  checkCount('limit', limit, 0);
  checkCount('concurrency', concurrency, 1);
  if (concurrency === undefined || concurrency === 1) return;
  if (batch) throw new TypeError('concurrency goes with `each`: batches are processed one after the other');
  if (transaction) throw new TypeError('A transaction does one thing at a time: leave out either concurrency or transaction');
}

function checkCount(name: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least)) return;
  throw new TypeError(`${name} is ${value}; it must be a whole number of at least ${least}`);
}
