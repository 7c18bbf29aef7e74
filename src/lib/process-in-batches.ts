import type { Knex } from 'knex';
import { BatchPass } from './batches/batch-pass.js';
import {
  type BatchResult,
  checkOptions,
  type ProcessInBatchesOptions,
  type RowQuery,
  type RowSource,
} from './batches/batch-options.js';
import { currentBatchRun } from './batches/batch-run.js';
import { type BatchStep, inStep } from './batches/batch-step.js';
import { IterablePages } from './batches/iterable-pages.js';
import { KeysetPages, RowsOfKeys } from './batches/keyset-pages.js';
import { MaxFailures } from './batches/max-failures.js';
import type { PageSource } from './batches/page-source.js';
import type { ThrottleCondition } from './batches/throttle.js';

export type { BatchContext, BatchResult, ProcessInBatchesOptions, WholeBatchContext } from './batches/batch-options.js';
export { EveryItemFailed, TooManyFailures } from './batches/max-failures.js';
export type { ThrottleCondition } from './batches/throttle.js';
export { activeSessionsOver, type Hours, outsideHours, replicationLagOver } from './batches/throttle-conditions.js';

const BATCH_SIZE = 1_000;

/**
 * Takes all rows of a query, or of any iterable, through `each` or `batch`, a batch at a time: what every backfill does.
 *
 *     return processInBatches({
 *       query: knex('patient').whereNull('fullName').select('id', 'first', 'last'),
 *       transaction: true,
 *       batch: (rows, trx) => trx('patient')...,
 *     });
 *
 * It walks along the key, and so neither repeats nor passes over a row, whatever happens to the table meanwhile. Rows
 * behind the greatest key that was there at its start are left for another run. In a run it reports progress, keeps
 * failed rows, stops when the run should (between rows, and between batches), and goes on from where an earlier attempt
 * got to: exactly with `transaction: true`; without, a row may be processed again.
 *
 * In a dry run `each` and `batch` are called all the same, so that it reads, checks and counts what the real one would; the
 * database refuses their writes, which ends the run.
 *
 * @throws {TypeError} when the options do not fit together, or the query has an order, a limit, an offset or a union
 * @throws {Error} when a row's key holds a null, or two rows have the same key
 * @throws {TooManyFailures} past maxFailures: a StatusError of 500 whose data is { message, processed, succeeded, failed }
 * @throws {EveryItemFailed} likewise, at the end of rows of which not one succeeded, in a dry run too
 * @throws the reason of the run's signal; whatever the query, a condition or a commit throws, and with stopOnError the code
 */
export async function processInBatches<Row>(options: ProcessInBatchesOptions<Row>): Promise<BatchResult> {
  checkOptions(options);
  const run = currentBatchRun();
  const isDryRun = options.isDryRun === true || run?.isDryRun === true;
  const { each, batch, concurrency, batchSize = BATCH_SIZE, limit = Infinity, transaction = false, stopOnError = false } = options;
  const maxFailures = new MaxFailures(options.maxFailures);
  return inStep(run, async (step) => {
    const pass = new BatchPass<Row>({
      source: sourceOf(options, step, isDryRun),
      work: { each, batch, concurrency, isDryRun, stopsOnError: stopOnError, signal: run?.signal ?? NEVER },
      step,
      batchSize,
      limit,
      isTransactional: transaction,
      maxFailures,
      throttle: asList(options.throttle),
    });
    return { isDryRun, ...(await pass.run()) };
  });
}

/** Outside a run nobody asks to stop. */
const NEVER = new AbortController().signal;

function sourceOf<Row>(options: ProcessInBatchesOptions<Row>, { onlyKeys }: BatchStep, isDryRun: boolean): PageSource<Row> {
  const { key, query, isRepeatable = false } = options;
  const columns = key === undefined ? undefined : typeof key === 'string' ? [key] : key;
  if (columns?.length === 0) throw new TypeError('key must name at least one column');
  const rows: unknown = typeof query === 'function' ? query() : query;
  if (isQuery(rows)) {
    const [names, isLocking] = [columns ?? ['id'], !isDryRun];
    return onlyKeys ? new RowsOfKeys(rows, names, onlyKeys, isLocking) : new KeysetPages(rows, names, isLocking);
  }
  if (isIterable(rows)) return new IterablePages<Row>({ items: rows as Iterable<Row>, key: columns, isRepeatable, onlyKeys });
  throw new TypeError('query must be a query of knex, an iterable, or a function (not an async one) that returns one of them');
}

const isQuery = (rows: unknown): rows is Knex.QueryBuilder => typeof (rows as Partial<RowQuery<unknown>> | null)?.toSQL === 'function';

const isIterable = (rows: unknown): rows is RowSource<unknown> =>
  typeof rows === 'object' && rows !== null && (Symbol.asyncIterator in rows || Symbol.iterator in rows);

const asList = (throttle: ThrottleCondition | readonly ThrottleCondition[] = []): readonly ThrottleCondition[] =>
  typeof throttle === 'function' ? [throttle] : throttle;
