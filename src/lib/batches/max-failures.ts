import { ServiceError } from '../errors/service-error.js';

/** More items failed than the job allows. */
export class TooManyFailures extends ServiceError {
  override readonly name = 'TooManyFailures';

  constructor(
    readonly processed: number,
    readonly failed: number,
    maxFailures: number | string,
  ) {
    super(500, `Stopped: ${failed} of ${processed} failed, and maxFailures is ${maxFailures}. See the run's failures.`);
  }
}

/** Of a smaller sample, a share says little. */
const LEAST_SAMPLE = 100;

/** What `maxFailures` allows of one attempt of a run. */
export class MaxFailures {
  readonly #given: number | string;
  readonly #count: number;
  readonly #share: number;

  /** @throws {TypeError} when it is neither a count nor a share */
  constructor(given: number | string = Infinity) {
    this.#given = given;
    const percent = typeof given === 'string' ? /^(\d+(?:\.\d+)?)%$/.exec(given)?.[1] : undefined;
    this.#count = percent === undefined ? Number(given) : Infinity;
    this.#share = percent === undefined ? Infinity : Number(percent) / 100;
    const isCount = typeof given === 'number' && given >= 0 && (Number.isInteger(given) || given === Infinity);
    if (!isCount && !(this.#share <= 1)) throw new TypeError(`maxFailures is '${given}'; it must be a count such as 5, or a share such as '5%'`);
  }

  /** @throws {TooManyFailures} */
  check(processed: number, failed: number, isEnd = false): void {
    const isOver = failed > this.#count || ((isEnd || processed >= LEAST_SAMPLE) && failed > this.#share * processed);
    if (isOver) throw new TooManyFailures(processed, failed, this.#given);
  }
}
