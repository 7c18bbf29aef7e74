import type { BenchDatabase } from '../harness/bench-database.js';

/** A text in the forms that it may turn up in: itself, as the bytes of a bytea, and as base64 at each of the three offsets. */
function formsOf(canary: string): string[] {
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.from('\0'.repeat(offset) + canary).toString('base64');
    // The characters at both ends hold bits of the neighbours too.
    return text.slice(offset === 0 ? 0 : offset + 1, Math.floor(((offset + canary.length) * 8) / 6));
  });
  return [canary, Buffer.from(canary).toString('hex'), ...base64];
}

/** The form in which the canary is in the text, whatever the case of its letters; undefined when it is not. */
export function canaryIn(text: string, canary: string): string | undefined {
  const lower = text.toLowerCase();
  return formsOf(canary).find((form) => lower.includes(form.toLowerCase()));
}

/** The columns of all tables, of whatever type, that hold the canary in any row, each with how many and one of them. */
export async function columnsWith(database: BenchDatabase, canary: string): Promise<string[]> {
  const columns = await database.query<{ schema: string; table: string; column: string }>(`
    select table_schema as schema, table_name as "table", column_name as "column" from information_schema.columns
    join information_schema.tables using (table_schema, table_name)
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`);
  if (columns.length === 0) throw new Error('the database has no columns to look into');
  const pattern = formsOf(canary).map((form) => `%${form.replace(/[\\%_]/g, '\\$&')}%`);
  const found: string[] = [];
  for (const { schema, table, column } of columns) {
    // As text, a bytea is its bytes in hex.
    const [row] = await database.query<{ n: number; one: string | null }>(
      `select count(*)::int as n, min("${column}"::text) as one from "${schema}"."${table}" where "${column}"::text ilike any ($1)`,
      [pattern],
    );
    if (row && row.n > 0) found.push(`${table}.${column}, ${row.n} rows: ${row.one}`);
  }
  return found;
}
