import type { JSONData } from '../../jobs/helpers.js';
import type { Page, PageSource } from './page-source.js';

/** What is known of a source that is no query. */
export interface IterableSource<Row> {
  readonly items: AsyncIterable<Row> | Iterable<Row>;
  /** The fields that name an item where it fails; none for its number, from 1 on. */
  readonly key: readonly string[] | undefined;
  /** It gives the same items in the same order each time, so that a resumed run may pass over those that were done. */
  readonly isRepeatable: boolean;
  readonly onlyKeys: readonly JSONData[] | undefined;
}

/** The items of an iterable, which can be read but once and forward. */
export class IterablePages<Row> implements PageSource<Row> {
  readonly canGoOn: boolean;
  readonly #source: IterableSource<Row>;
  readonly #wanted: ReadonlySet<string> | undefined;
  #iterator: AsyncIterator<Row> | Iterator<Row> | undefined;
  #read = 0;
  #isDone = false;

  constructor(source: IterableSource<Row>) {
    this.#source = source;
    this.canGoOn = source.isRepeatable;
    this.#wanted = source.onlyKeys && new Set(source.onlyKeys.map((key) => JSON.stringify(key)));
  }

  /** @param position how many items were done with; it counts in the first call alone, when an earlier attempt left it */
  async read(position: JSONData | undefined, size: number): Promise<Page<Row>> {
    const skipped = this.#iterator || typeof position !== 'number' ? 0 : position;
    while (this.#read < skipped && !this.#isDone) await this.#next();
    const rows: Row[] = [];
    const keys: JSONData[] = [];
    const reads: number[] = [];
    const start = this.#read;
    while (rows.length < size && !this.#isDone) {
      const item = await this.#next();
      if (!item) break;
      const key = this.#keyOf(item.value);
      if (this.#wanted && !this.#wanted.has(JSON.stringify(key))) continue;
      rows.push(item.value);
      keys.push(key);
      reads.push(this.#read);
    }
    return { rows, keys, positionAfter: (count) => reads[count - 1] ?? start, isLast: this.#isDone };
  }

  async countFrom(): Promise<undefined> {}

  async close(): Promise<void> {
    if (this.#iterator && !this.#isDone) await this.#iterator.return?.();
    this.#isDone = true;
  }

  async #next(): Promise<{ value: Row } | undefined> {
    this.#iterator ??= iteratorOf(this.#source.items);
    // Not every iterator may be asked again once it has thrown.
    const wasDone = this.#isDone;
    this.#isDone = true;
    const result = wasDone ? ({ done: true } as const) : await this.#iterator.next();
    if (result.done) return undefined;
    this.#isDone = false;
    this.#read++;
    return { value: result.value };
  }

  #keyOf(item: Row): JSONData {
    const values = this.#source.key?.map((field) => asJson((item as Record<string, unknown>)[field]));
    return values === undefined ? this.#read : values.length === 1 ? values[0]! : values;
  }
}

const iteratorOf = <Row>(items: AsyncIterable<Row> | Iterable<Row>): AsyncIterator<Row> | Iterator<Row> =>
  Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();

function asJson(value: unknown): JSONData {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return value instanceof Date ? value.toISOString() : String(value as bigint);
}
