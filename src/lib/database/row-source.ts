/** One column of the rows that a statement gets as its parameters. */
export interface Column<Item> {
  readonly name: string;
  readonly type: string;
  readonly of: (item: Item) => unknown;
}

/** Rows as a statement's parameters: what stands behind its FROM, and the values. */
export interface RowSource<Item> {
  /** One array a column: one text of the statement for any number of rows, but each item is quoted by node-postgres, which costs CPU by the byte. */
  readonly arrays: { readonly text: string; values(items: readonly Item[]): unknown[] };
  /** One parameter a value: nothing is quoted. For a few rows that are large. */
  readonly scalars: { text(count: number): string; values(items: readonly Item[]): unknown[] };
}

/**
 * @param alias what the statement calls the rows
 * @param first the number of the first parameter that is free
 */
export function rowSource<Item>(alias: string, columns: readonly Column<Item>[], first = 1): RowSource<Item> {
  const names = `${alias} (${columns.map(({ name }) => name).join(', ')})`;
  const row = (at: number): string => `(${columns.map(({ type }, place) => `$${first + at * columns.length + place}::${type}`).join(', ')})`;
  return {
    arrays: {
      text: `unnest(${columns.map(({ type }, place) => `$${first + place}::${type}[]`).join(', ')}) as ${names}`,
      values: (items) => columns.map(({ of }) => items.map(of)),
    },
    scalars: {
      text: (count) => `(values ${Array.from({ length: count }, (_, at) => row(at)).join(', ')}) as ${names}`,
      values: (items) => items.flatMap((item) => columns.map(({ of }) => of(item))),
    },
  };
}
