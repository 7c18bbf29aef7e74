import type { Knex } from 'knex';
import { asyncMap } from '../async-map.js';
import knex from '../knex.js';
import type { BatchContext, ProcessInBatchesOptions } from './batch-options.js';

/** The job's code, and what goes with each call of it. */
export interface PageWork<Row> {
  readonly each: ProcessInBatchesOptions<Row>['each'];
  readonly batch: ProcessInBatchesOptions<Row>['batch'];
  readonly concurrency: number | undefined;
  readonly isDryRun: boolean;
  readonly signal: AbortSignal;
}

/** Hears how the rows of a page ended, by their places in it. It may throw to end the pass. */
export interface PageSink {
  succeeded(places: readonly number[]): void;
  failed(places: readonly number[], error: unknown): void;
}

/**
 * Runs the job's code on the rows.
 * @param trx each call gets a savepoint of it, so that one that fails leaves nothing behind
 * @throws the signal's reason, what the sink throws, or an error that every other row would meet with too
 */
export async function performPage<Row>(work: PageWork<Row>, rows: readonly Row[], trx: Knex.Transaction | undefined, sink: PageSink): Promise<void> {
  const { each, batch, concurrency = 1, signal } = work;
  const contextWith = (db: Knex): BatchContext => ({ trx: db, isDryRun: work.isDryRun, signal });
  const call = (use: (context: BatchContext) => unknown): Promise<unknown> =>
    trx ? trx.transaction(async (savepoint) => void (await use(contextWith(savepoint)))) : (async () => use(contextWith(knex)))();

  /** @returns whether it succeeded */
  async function attempt(places: readonly number[], use: (context: BatchContext) => unknown, onError: (error: unknown) => unknown): Promise<void> {
    signal.throwIfAborted();
    try {
      await call(use);
    } catch (error) {
      signal.throwIfAborted();
      if (isRefusedWrite(error)) throw error;
      return void (await onError(error));
    }
    sink.succeeded(places);
  }

  async function performBatch(places: readonly number[]): Promise<void> {
    const part = places.length === rows.length ? rows : places.map((place) => rows[place]!);
    await attempt(places, (context) => batch!(part, context.trx, context), async (error) => {
      if (!trx || places.length === 1) return sink.failed(places, error);
      const half = places.length >> 1;
      await performBatch(places.slice(0, half));
      await performBatch(places.slice(half));
    });
  }

  if (batch) return performBatch([...rows.keys()]);
  await asyncMap(
    rows,
    (row, place) => attempt([place], (context) => each!(row, context), (error) => sink.failed([place], error)),
    concurrency,
  );
}

const READ_ONLY_TRANSACTION = '25006';

/** The database's refusal to write in a dry run, or what was made of it: a fault of the job, not of the row. */
function isRefusedWrite(error: unknown): boolean {
  for (let each = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth++) {
    if ((each as { code?: unknown }).code === READ_ONLY_TRANSACTION) return true;
  }
  return false;
}
