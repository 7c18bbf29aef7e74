import type { Knex } from 'knex';
import knex from '../knex.js';

/**
 * The values of a row's key columns, as Postgres writes them as text. What pg makes of them would not do: a Date has
 * milliseconds where a timestamp has microseconds, and a float, a range or an enum may have no JavaScript value at all.
 */
export type KeyTexts = readonly string[];

/** A row as it is read, with its key beside its own columns. */
export type KeyedRow = Record<string, unknown> & { [KEY]?: unknown };

/** The column that brings the key along: the text of a single one, a JSON array of texts of several. */
export const KEY = '__batchKey';

interface Statement {
  readonly grouping: string;
  readonly bool?: string;
}

/** What a builder of knex keeps of itself, and tells only so. The version of knex is pinned. */
interface Internals {
  readonly _method: string;
  readonly _statements: Statement[];
  readonly _single: { table?: unknown; limit?: unknown; offset?: unknown; lock?: unknown; waitMode?: unknown };
}

const internalsOf = (builder: object): Internals => builder as Internals;

/** A query of the job's, from which those that walk along its key are made. It is cloned, and never changed. */
export class KeysetQuery {
  readonly #base: Knex.QueryBuilder;
  /** As they are written in SQL. */
  readonly #columns: readonly string[];
  #types: readonly string[] = [];

  constructor(builder: Knex.QueryBuilder, columns: readonly string[]) {
    refuseUnsuited(builder);
    this.#base = inParentheses(builder.clone());
    this.#columns = columns.map((column) => qualified(builder, column));
  }

  /** Asks Postgres for the types of the key's columns. Must come first. It runs nothing of the query. */
  async learnTypes(trx: Knex.Transaction | undefined): Promise<void> {
    const columns = this.#columns.map((column) => this.#unlocked().clearSelect().select(knex.ref(column)).whereRaw('false'));
    // With -1 as its modifier, a type is named without a length: cast to `character`, a text would be cut to one character.
    const selects = columns.map((_, at) => `format_type(pg_typeof((?))::oid, -1) as "${at}"`);
    const { rows } = await (trx ?? knex).raw<{ rows: Record<string, string>[] }>(`select ${selects.join(', ')}`, columns);
    this.#types = columns.map((_, at) => rows[0]![at]!);
  }

  /** The rows whose key lies behind `after` and not behind `upTo`, in the order of the key. */
  between(after: KeyTexts | undefined, upTo: KeyTexts, isLocking: boolean): Knex.QueryBuilder {
    const query = this.#withKey(isLocking);
    if (after) void query.whereRaw(this.#comparedBy('>'), [...this.#columns, ...after]);
    return this.#inOrder(query.whereRaw(this.#comparedBy('<='), [...this.#columns, ...upTo]), 'asc');
  }

  /** The rows of these keys, in the order of the key. */
  withKeys(keys: readonly KeyTexts[], isLocking: boolean): Knex.QueryBuilder {
    const lists = this.#types.map((type) => `?::text[]::${type}[]`);
    const values = this.#columns.map((_, at) => keys.map((key) => key[at]!));
    const condition = `(${this.#marks('??')}) in (select * from unnest(${lists.join(', ')}))`;
    return this.#inOrder(this.#withKey(isLocking).whereRaw(condition, [...this.#columns, ...values]), 'asc');
  }

  /** The row with the greatest key; of one with a null in its first column, that one. */
  greatest(): Knex.QueryBuilder {
    return this.#inOrder(this.#withKey(false), 'desc').limit(1);
  }

  /** One row, if any has a null in a column of the key. */
  withNull(): Knex.QueryBuilder {
    return this.#withKey(false).whereRaw(`(${this.#columns.map(() => '?? is null').join(' or ')})`, [...this.#columns]).limit(1);
  }

  #withKey(isLocking: boolean): Knex.QueryBuilder {
    const query = isLocking ? this.#base.clone() : this.#unlocked();
    if (!internalsOf(query)._statements.some(({ grouping }) => grouping === 'columns')) void query.select('*');
    const texts = this.#columns.map(() => '??::text').join(', ');
    const key = this.#columns.length === 1 ? texts : `jsonb_build_array(${texts})`;
    return query.select(knex.raw(`${key} as ??`, [...this.#columns, KEY]));
  }

  /** Without FOR UPDATE, which neither a count needs, nor Postgres lets a dry run have. */
  #unlocked(): Knex.QueryBuilder {
    const query = this.#base.clone();
    const single = internalsOf(query)._single;
    delete single.lock;
    delete single.waitMode;
    return query;
  }

  /** One comparison of rows, which an index on the key's columns serves, however many there are. */
  #comparedBy(operator: string): string {
    return `(${this.#marks('??')}) ${operator} (${this.#types.map((type) => `?::${type}`).join(', ')})`;
  }

  readonly #marks = (mark: string): string => this.#columns.map(() => mark).join(', ');

  readonly #inOrder = (query: Knex.QueryBuilder, order: 'asc' | 'desc'): Knex.QueryBuilder =>
    query.orderBy(this.#columns.map((column) => ({ column, order })));
}

/** @throws {TypeError} when the builder makes something that cannot be walked through along a key */
function refuseUnsuited(builder: Knex.QueryBuilder): void {
  const { _method, _statements, _single } = internalsOf(builder);
  const has = (grouping: string) => _statements.some((statement) => statement.grouping === grouping);
  if (_method !== 'select') throw new TypeError(`query must select rows; this one is made for "${_method}"`);
  if (has('order')) throw new TypeError('query must have no order of its own: batches go by the key');
  if (_single.limit !== undefined) throw new TypeError('query must have no limit of its own: give processInBatches the limit');
  if (_single.offset !== undefined) throw new TypeError('query must have no offset');
  if (has('union')) throw new TypeError("query must be no union: select from one instead, knex.from(union.as('rows'))");
}

/** What is added to `a or b` must hold for both: knex would write `a or b and added`. */
function inParentheses(query: Knex.QueryBuilder): Knex.QueryBuilder {
  const wheres = internalsOf(query)._statements.filter(({ grouping }) => grouping === 'where');
  if (!wheres.some(({ bool }) => bool === 'or')) return query;
  return query.clearWhere().where((group) => void internalsOf(group)._statements.push(...wheres));
}

/**
 * The column with its table's name before it, where there is but one table. Without it `order by name` would go by a
 * `lower(name) as name` of the select list, and `where name > ...` by the table's own column: rows would be passed over.
 */
function qualified(builder: Knex.QueryBuilder, column: string): string {
  const { _single, _statements } = internalsOf(builder);
  if (column.includes('.') || _statements.some(({ grouping }) => grouping === 'join')) return column;
  const table = aliasOf(_single.table);
  return table === undefined ? column : `${table}.${column}`;
}

function aliasOf(table: unknown): string | undefined {
  if (typeof table === 'string') return table.split(/(?<!\s)\s+as\s+/i).at(-1);
  if (typeof table !== 'object' || table === null) return undefined;
  if (Object.getPrototypeOf(table) === Object.prototype) return Object.keys(table).length === 1 ? Object.keys(table)[0] : undefined;
  const alias = (table as { _single?: { as?: unknown } })._single?.as;
  return typeof alias === 'string' ? alias : undefined;
}
