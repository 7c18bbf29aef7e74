import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';

/** Rows that are processed together. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  /** What each row is called where it fails: in the order of the rows. */
  readonly keys: readonly JSONData[];
  /** Where to go on after the first `count` rows of this page; undefined where that cannot be said of a part of it. */
  positionAfter(count: number): JSONData | undefined;
  readonly isLast: boolean;
}

/** Where the pages come from. */
export interface PageSource<Row> {
  /** A later attempt of the run may go on from a position of this one. */
  readonly canGoOn: boolean;
  /**
   * The page at `position`, of at most `size` rows; it may be empty and yet not the last one.
   * @param position a page's positionAfter, or undefined for the first page
   * @param trx to read in
   */
  read(position: JSONData | undefined, size: number, trx: Knex.Transaction | undefined): Promise<Page<Row>>;
  /** About how many rows there are from `position` on; undefined where that takes too long to find out. */
  countFrom(position: JSONData): Promise<number | undefined>;
  close(): Promise<void>;
}
