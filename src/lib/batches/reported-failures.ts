import type { PageSink } from './page-sink.js';

/** A row that the job itself called a failure: there is no stack to look at. */
export class RowFailed extends Error {
  override readonly name = 'RowFailed';
}

/** The rows of one batch that the job called failures, while the batch as such went well. */
export class ReportedFailures<Row> {
  readonly #rows: readonly Row[];
  #known: ReadonlySet<Row> | undefined;
  readonly #reasons = new Map<Row, string>();

  constructor(rows: readonly Row[]) {
    this.#rows = rows;
  }

  /** @throws {TypeError} of a row that is not the batch's */
  add(row: Row, reason: string): void {
    this.#known ??= new Set(this.#rows);
    if (!this.#known.has(row)) throw new TypeError('fail() takes a row of its batch, the very one that was handed over');
    this.#reasons.set(row, reason);
  }

  /** @param places of the rows, in their order */
  tell(places: readonly number[], sink: PageSink): void {
    if (this.#reasons.size === 0) return sink.succeeded(places);
    const failed = new Map<string, number[]>();
    const succeeded: number[] = [];
    for (const [at, place] of places.entries()) {
      const reason = this.#reasons.get(this.#rows[at]!);
      if (reason === undefined) succeeded.push(place);
      else failed.set(reason, [...(failed.get(reason) ?? []), place]);
    }
    sink.succeeded(succeeded);
    for (const [reason, each] of failed) sink.failed(each, new RowFailed(reason));
  }
}
