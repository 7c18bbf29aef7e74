import { StatusError } from '../../jobs/helpers.js';
import type { Done } from './batch-progress.js';

/** More items failed than the job allows. Its data has the counts; the items are kept with the run. */
export class TooManyFailures extends StatusError {
  override readonly name: string = 'TooManyFailures';

  constructor(
    message: string,
    readonly counts: Done,
  ) {
    const { processed, succeeded, failed } = counts;
    super(500, { message, processed, succeeded, failed });
    this.message = message;
  }
}

/** Not one item succeeded: something is wrong with the job, or with what it needs, and not with a few items. */
export class EveryItemFailed extends TooManyFailures {
  override readonly name = 'EveryItemFailed';

  /** @param isNew whether this attempt of the run processed any of them; otherwise all failed in former ones, and a resumed run passes over them */
  constructor(counts: Done, isNew = true) {
    const which = isNew
      ? `Every item failed: ${counts.failed} of ${counts.processed}. See the run's failures.`
      : `Nothing is left to resume: all ${counts.processed} items were processed before, and every one failed.`;
    super(`${which} ${RETRY}`, counts);
  }
}

/** Without the run's id, so that the same failures have the same message. */
const RETRY = 'Once the cause is mended, retry the failed items: npm run -s job -- retry <id> --only-failed, or POST /runs/<id>/retry?only=failed.';

/** A share of fewer items says little. */
const LEAST_SAMPLE = 100;

/** What `maxFailures` allows. */
export class MaxFailures {
  readonly #given: number | string;
  readonly #count: number;
  readonly #share: number;
  readonly #mayAllFail: boolean;

  /** @throws {TypeError} when it is neither a count nor a share */
  constructor(given?: number | string) {
    this.#given = given ?? Infinity;
    const percent = typeof given === 'string' ? /^(\d+(?:\.\d+)?)%$/.exec(given)?.[1] : undefined;
    this.#count = percent === undefined ? Number(this.#given) : Infinity;
    this.#share = percent === undefined ? Infinity : Number(percent) / 100;
    const isCount = typeof this.#given === 'number' && this.#given >= 0 && (Number.isInteger(this.#given) || this.#given === Infinity);
    if (!isCount && !(this.#share <= 1)) throw new TypeError(`maxFailures is '${given}'; it must be a count such as 5, or a share such as '5%'`);
    this.#mayAllFail = given === Infinity || this.#share === 1;
  }

  /** @param done in this attempt of the run @throws {TooManyFailures} */
  check(done: Done, isEnd = false): void {
    const { processed, failed } = done;
    const isOver = failed > this.#count || ((isEnd || processed >= LEAST_SAMPLE) && failed > this.#share * processed);
    if (isOver) throw new TooManyFailures(`Stopped: ${failed} of ${processed} failed, and maxFailures is ${this.#given}. See the run's failures.`, done);
  }

  /** @param done at the end, in all attempts of the run together @param isNew whether any of it was done in this attempt @throws {EveryItemFailed} */
  checkEnd(done: Done, isNew: boolean): void {
    if (done.processed > 0 && done.succeeded === 0 && !this.#mayAllFail) throw new EveryItemFailed(done, isNew);
  }
}
