import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import { estimateCount } from './estimate-count.js';
import { KEY, type KeyedRow, KeysetQuery, type KeyTexts } from './keyset-query.js';
import type { Page, PageSource } from './page-source.js';

/** Both ends of what is still to do. The upper one stays as it was found when the work began. */
interface Range {
  readonly key: KeyTexts;
  readonly after: KeyTexts | null;
  readonly upTo: KeyTexts;
}

/**
 * The rows of a query, page by page along its key, which must be unique and hold no null.
 *
 * Each page begins behind the key where the one before it ended, so what was inserted or deleted meanwhile moves nothing,
 * and a row whose processing changed nothing (a dry run, a failure) does not come again. The walk ends at the greatest key
 * that there was when it began, so a job that inserts into the table it reads comes to an end.
 */
export class KeysetPages<Row> implements PageSource<Row> {
  readonly canGoOn = true;
  readonly #query: KeysetQuery;
  readonly #key: readonly string[];
  readonly #isLocking: boolean;
  #upTo: KeyTexts | null | undefined;

  /** @param isLocking the query's own FOR UPDATE stays in it */
  constructor(builder: Knex.QueryBuilder, key: readonly string[], isLocking: boolean) {
    this.#query = new KeysetQuery(builder, key);
    this.#key = key;
    this.#isLocking = isLocking;
  }

  async read(position: JSONData | undefined, size: number, trx: Knex.Transaction | undefined): Promise<Page<Row>> {
    const range = await this.#rangeFrom(position, trx);
    if (!range) return { rows: [], keys: [], positionAfter: () => null, isLast: true };
    const query = this.#query.between(range.after ?? undefined, range.upTo, this.#isLocking).limit(size + 1);
    // The row behind the page tells whether there is more, and that the page does not end between two of the same key.
    const { rows, keys } = takeKeys<Row>(await readIn(query, trx), this.#key);
    return {
      rows: rows.slice(0, size),
      keys: keys.slice(0, size),
      positionAfter: (count) => ({ ...range, after: count > 0 ? textsOf(keys[count - 1]!, this.#key.length) : range.after }) as unknown as JSONData,
      isLast: rows.length <= size,
    };
  }

  async countFrom(position: JSONData): Promise<number | undefined> {
    const range = position as unknown as Range | null;
    return range ? estimateCount(this.#query.between(range.after ?? undefined, range.upTo, false)) : 0;
  }

  async close(): Promise<void> {}

  /** @returns undefined where there is no row at all */
  async #rangeFrom(position: JSONData | undefined, trx: Knex.Transaction | undefined): Promise<Range | undefined> {
    const isFirst = this.#upTo === undefined;
    if (isFirst) await this.#query.learnTypes(trx);
    if (position !== undefined) {
      this.#upTo ??= null;
      return this.#checkedRange(position);
    }
    if (isFirst) this.#upTo = await this.#findGreatest(trx);
    return this.#upTo ? { key: this.#key, after: null, upTo: this.#upTo } : undefined;
  }

  #checkedRange(position: JSONData): Range {
    const range = position as unknown as Partial<Range> | null;
    if (!range || !Array.isArray(range.upTo) || String(range.key) !== String(this.#key)) {
      throw new Error(`The run was stopped in batches by another key than ${this.#key.join(', ')}, and cannot go on from there. Start it anew.`);
    }
    return range as Range;
  }

  async #findGreatest(trx: Knex.Transaction | undefined): Promise<KeyTexts | null> {
    // Nulls come first in descending order, so a single column needs no query of its own to be found without.
    const found = await readIn(this.#query.greatest(), trx);
    const withNull = this.#key.length > 1 ? await readIn(this.#query.withNull(), trx) : [];
    const { keys } = takeKeys([...withNull, ...found].slice(0, 1), this.#key);
    return keys[0] === undefined ? null : textsOf(keys[0], this.#key.length);
  }
}

/** The rows of given keys, as many of them a page as it has rows at most. What is no longer there is passed over. */
export class RowsOfKeys<Row> implements PageSource<Row> {
  readonly canGoOn = true;
  readonly #query: KeysetQuery;
  readonly #columns: readonly string[];
  readonly #keys: readonly KeyTexts[];
  readonly #isLocking: boolean;
  #knowsTypes = false;

  constructor(builder: Knex.QueryBuilder, columns: readonly string[], keys: readonly JSONData[], isLocking: boolean) {
    this.#query = new KeysetQuery(builder, columns);
    this.#columns = columns;
    this.#keys = keys.map((key) => textsOf(key, columns.length));
    this.#isLocking = isLocking;
  }

  async read(position: JSONData | undefined, size: number, trx: Knex.Transaction | undefined): Promise<Page<Row>> {
    const start = typeof position === 'number' ? position : 0;
    const wanted = this.#keys.slice(start, start + size);
    if (wanted.length > 0 && !this.#knowsTypes) await this.#query.learnTypes(trx);
    this.#knowsTypes = true;
    const read = wanted.length === 0 ? [] : await readIn(this.#query.withKeys(wanted, this.#isLocking), trx);
    const { rows, keys } = takeKeys<Row>(read, this.#columns);
    return {
      rows,
      keys,
      // The rows come in another order than the keys were given in: a page counts as a whole.
      positionAfter: (count) => (count === rows.length ? start + wanted.length : undefined),
      isLast: start + wanted.length >= this.#keys.length,
    };
  }

  async countFrom(position: JSONData): Promise<number> {
    return this.#keys.length - (position as number);
  }

  async close(): Promise<void> {}
}

/** In the batch's own transaction: with a connection of another, runs that each hold one could wait for each other. */
async function readIn(query: Knex.QueryBuilder, trx: Knex.Transaction | undefined): Promise<KeyedRow[]> {
  return trx ? query.transacting(trx) : query;
}

/**
 * Takes the keys off the rows: of a single column its text, of several an array of their texts.
 * @throws {Error} when a key holds a null, or when two rows have the same one
 */
function takeKeys<Row>(rows: readonly KeyedRow[], columns: readonly string[]): { rows: Row[]; keys: JSONData[] } {
  let last: string | undefined;
  const keys = rows.map((row) => {
    const key = row[KEY] as string | (string | null)[] | null;
    // The last column: to delete it leaves the object as fast as it was.
    delete row[KEY];
    if (key === null || (typeof key !== 'string' && key.includes(null))) throw new Error(nullKey(columns));
    const whole = typeof key === 'string' ? key : JSON.stringify(key);
    if (whole === last) throw new Error(sameKey(columns));
    last = whole;
    return key;
  });
  return { rows: rows as unknown as Row[], keys };
}

const nullKey = (columns: readonly string[]): string =>
  `A row has a null in its key (${columns.join(', ')}), by which it cannot be put in order. Name columns that are never null, or leave such rows out of the query.`;

const sameKey = (columns: readonly string[]): string =>
  `Two rows have the same key (${columns.join(', ')}), so that a batch could end between them and one be passed over. Add a column that tells them apart, such as the primary key.`;

function textsOf(key: JSONData, length: number): KeyTexts {
  const texts = Array.isArray(key) ? key : [key];
  const isKey = texts.length === length && texts.every((text) => typeof text === 'string' || typeof text === 'number');
  if (!isKey) throw new Error(`${JSON.stringify(key).slice(0, 200)} is no key of ${length} columns, so the failed rows cannot be found by it. Start the run anew.`);
  return texts.map(String);
}
