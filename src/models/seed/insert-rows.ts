import type pg from 'pg';

/** Inserts `rows`, which all have the same columns, by one statement. What another row's key is in the way of is left out. */
export async function insertRows(client: pg.Client, table: string, rows: readonly object[]): Promise<void> {
  const [first] = rows;
  if (!first) return;
  const name = quoted(table);
  const columns = Object.keys(first).map(quoted).join(', ');
  // As one text of JSON, since a statement takes 65,535 parameters at most; the table itself says what the types are.
  await client.query(
    `insert into ${name} (${columns}) select ${columns} from json_populate_recordset(null::${name}, $1::json) on conflict do nothing`,
    [JSON.stringify(rows)],
  );
}

const quoted = (name: string): string => `"${name}"`;
