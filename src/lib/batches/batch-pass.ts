import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import knex from '../knex.js';
import logger from '../logging.js';
import { BatchProgress, type Done } from './batch-progress.js';
import type { BatchStep } from './batch-step.js';
import { FailureLog } from './failure-log.js';
import { type MaxFailures, TooManyFailures } from './max-failures.js';
import { PageOutcome } from './page-outcome.js';
import type { Page, PageSource } from './page-source.js';
import { type PageWork, performPage } from './perform-page.js';
import { type ThrottleCondition, waitWhile } from './throttle.js';

const TAG = 'process-in-batches';

/** All that a pass over the rows needs. */
export interface PassPlan<Row> {
  readonly source: PageSource<Row>;
  readonly work: PageWork<Row>;
  readonly step: BatchStep;
  readonly batchSize: number;
  readonly limit: number;
  readonly isTransactional: boolean;
  readonly maxFailures: MaxFailures;
  readonly throttle: readonly ThrottleCondition[];
}

const NOTHING: Done = { processed: 0, succeeded: 0, failed: 0 };

/** One attempt's way through the rows, from where an earlier one got to. */
export class BatchPass<Row> {
  readonly #plan: PassPlan<Row>;
  readonly #start: Done;
  readonly #progress: BatchProgress;
  readonly #failures: FailureLog;
  /** What all attempts of the run have done together. */
  #done: Done;
  #position: JSONData | undefined;
  #hasCounted = false;

  constructor(plan: PassPlan<Row>) {
    const start = plan.source.canGoOn ? plan.step.start : undefined;
    const { processed, succeeded, failed } = start ?? NOTHING;
    this.#plan = plan;
    this.#start = this.#done = { processed, succeeded, failed };
    this.#position = start?.position;
    this.#progress = new BatchProgress(plan.step.progress, this.#done);
    this.#failures = new FailureLog(plan.step.failure);
  }

  /** @returns what was done, in all attempts of the run together */
  async run(): Promise<Done> {
    const { source, work, batchSize, limit, throttle } = this.#plan;
    try {
      for (let isLast = false; !isLast && this.#done.processed < limit; ) {
        await waitWhile(throttle, work.signal, this.#progress);
        isLast = await this.#passPage(Math.min(batchSize, limit - this.#done.processed));
        if (!isLast) await this.#findTotal();
        this.#progress.update(this.#done);
      }
      this.#checkFailures(NOTHING, true);
      this.#plan.maxFailures.checkEnd(this.#done, this.#done.processed > this.#start.processed);
    } finally {
      this.#progress.update(this.#done, true);
      await source.close();
    }
    return this.#done;
  }

  /** @returns whether it was the last one */
  async #passPage(size: number): Promise<boolean> {
    const { isTransactional, work } = this.#plan;
    const { page, outcome } = isTransactional
      ? await knex.transaction((trx) => this.#pass(size, trx), { readOnly: work.isDryRun })
      : await this.#pass(size, undefined);
    if (isTransactional) this.#failures.log(outcome.failures);
    this.#done = sum(this.#done, outcome.ended);
    this.#position = page.positionAfter(page.rows.length);
    return page.isLast;
  }

  async #pass(size: number, trx: Knex.Transaction | undefined): Promise<{ page: Page<Row>; outcome: PageOutcome }> {
    const { source, work } = this.#plan;
    const page = await source.read(this.#position, size, trx);
    const outcome: PageOutcome = new PageOutcome(page.keys, (failure) => {
      // What a transaction did may yet be undone; it is told of once it is not.
      if (failure && !trx) this.#failures.add([failure]);
      this.#checkFailures(outcome.ended);
      if (!trx) this.#progress.update(sum(this.#done, outcome.ended));
    });
    try {
      if (page.rows.length > 0) await performPage(work, page.rows, trx, outcome);
    } catch (error) {
      if (!trx) await this.#saveLeading(page, outcome);
      // The page is rolled back; what failed in it says why. Its cursor is not saved, so a resumed run does these again and forgets them.
      else if (error instanceof TooManyFailures) this.#failures.add(outcome.failures);
      throw error;
    }
    if (trx) this.#failures.keep(outcome.failures, work.isDryRun ? undefined : trx);
    await this.#save(page.positionAfter(page.rows.length) ?? null, sum(this.#done, outcome.ended), trx);
    return { page, outcome };
  }

  /** @throws {TooManyFailures} */
  #checkFailures(now: Done, isEnd = false): void {
    const { processed, succeeded, failed } = sum(this.#done, now);
    const start = this.#start;
    this.#plan.maxFailures.check({ processed: processed - start.processed, succeeded: succeeded - start.succeeded, failed: failed - start.failed }, isEnd);
  }

  /** The items of a page that was not finished which were done before the first one that was not. A resumed run need not repeat them. */
  async #saveLeading(page: Page<Row>, outcome: PageOutcome): Promise<void> {
    const leading = outcome.leading();
    const position = leading.processed > 0 ? page.positionAfter(leading.processed) : undefined;
    if (position === undefined) return;
    try {
      const done = sum(this.#done, leading);
      await this.#save(position, done, undefined, outcome.failedFrom(leading.processed));
      this.#done = done;
    } catch (error) {
      // Why the page ended matters more. At worst a resumed run repeats the rows.
      logger.error(error, { tag: TAG, during: 'saving how far a batch got' });
    }
  }

  async #save(position: JSONData, done: Done, trx: Knex.Transaction | undefined, redone?: readonly JSONData[]): Promise<void> {
    const { step, work } = this.#plan;
    // A dry run's transaction is read-only, and has nothing to be saved together with.
    if (position !== null) await step.checkpoint({ position, ...done }, work.isDryRun ? undefined : trx, redone);
  }

  async #findTotal(): Promise<void> {
    const { source, step, limit } = this.#plan;
    if (!step.isWatched || this.#hasCounted || this.#position === undefined) return;
    this.#hasCounted = true;
    try {
      const left = await source.countFrom(this.#position);
      if (left !== undefined) this.#progress.total = Math.min(limit, this.#done.processed + left);
    } catch (error) {
      logger.debug('There is no total for the progress', TAG, { error });
    }
  }
}

const sum = (a: Done, b: Done): Done => ({
  processed: a.processed + b.processed,
  succeeded: a.succeeded + b.succeeded,
  failed: a.failed + b.failed,
});
