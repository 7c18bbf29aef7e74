import type { Knex } from 'knex';
import { asyncMap } from '../async-map.js';
import knex from '../knex.js';
import { isReadOnlyTransaction } from '../errors/postgres-fault.js';
import type { RunTransactionConfig } from '../run-knex/lazy-savepoint.js';
import type { BatchContext, ProcessInBatchesOptions } from './batch-options.js';
import type { PageSink } from './page-sink.js';
import { ReportedFailures } from './reported-failures.js';

/** The job's code, and what goes with each call of it. */
export interface PageWork<Row> {
  readonly each: ProcessInBatchesOptions<Row>['each'];
  readonly batch: ProcessInBatchesOptions<Row>['batch'];
  readonly concurrency: number | undefined;
  readonly isDryRun: boolean;
  readonly stopsOnError: boolean;
  readonly signal: AbortSignal;
}

/** Most rows of a dry run, and those that a rule leaves alone, come without a statement: a savepoint would be two round trips for nothing. */
const LAZY: RunTransactionConfig = { isLazy: true };

/**
 * Runs the job's code on the rows.
 * @param trx each call that makes a statement gets a savepoint of it, so that one that fails leaves nothing behind
 * @throws the signal's reason, what the sink throws, an error that every other row would meet with too, or any with stopsOnError
 */
export async function performPage<Row>(work: PageWork<Row>, rows: readonly Row[], trx: Knex.Transaction | undefined, sink: PageSink): Promise<void> {
  const { each, batch, concurrency = 1, signal } = work;
  const contextWith = (db: Knex): BatchContext => ({ trx: db, isDryRun: work.isDryRun, signal });
  const call = (use: (context: BatchContext) => unknown): Promise<unknown> =>
    trx ? trx.transaction(async (savepoint) => void (await use(contextWith(savepoint))), LAZY) : (async () => use(contextWith(knex)))();

  async function settle(use: (context: BatchContext) => unknown, onSuccess: () => void, onError: (error: unknown) => unknown): Promise<void> {
    signal.throwIfAborted();
    try {
      await call(use);
    } catch (error) {
      signal.throwIfAborted();
      if (work.stopsOnError || isCausedByRefusedWrite(error)) throw error;
      return void (await onError(error));
    }
    onSuccess();
  }

  async function performBatch(places: readonly number[]): Promise<void> {
    const part = places.length === rows.length ? rows : places.map((place) => rows[place]!);
    const failures = new ReportedFailures(part);
    const use = (context: BatchContext) => batch!(part, context.trx, { ...context, fail: (row, reason) => failures.add(row, reason) });
    await settle(use, () => failures.tell(places, sink), async (error) => {
      if (!trx || places.length === 1) return sink.failed(places, error);
      const half = places.length >> 1;
      await performBatch(places.slice(0, half));
      await performBatch(places.slice(half));
    });
  }

  if (batch) await performBatch([...rows.keys()]);
  else {
    await asyncMap(
      rows,
      (row, place) => settle((context) => each!(row, context), () => sink.succeeded([place]), (error) => sink.failed([place], error)),
      concurrency,
    );
  }
  // A transaction of a run that was stopped is not committed, so whoever hears of it hears why.
  if (trx) signal.throwIfAborted();
}

/** The database's refusal to write in a dry run, or what was made of it: a fault of the job, not of the row. */
function isCausedByRefusedWrite(error: unknown): boolean {
  for (let each = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth++) {
    if (isReadOnlyTransaction(each)) return true;
  }
  return false;
}
