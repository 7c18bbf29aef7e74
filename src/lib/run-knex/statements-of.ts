import { SqlTokens } from './sql-tokens.js';

/** True where there is no semicolon before the end, so that it cannot be several statements. False says nothing: the semicolon may stand in a quote. */
export const isOneStatement = (sql: string): boolean => !/;\s*\S/.test(sql);

/**
 * Cuts a text into its statements, without their semicolons; what has no statement in it gives none. Semicolons inside a statement
 * (a function's BEGIN ATOMIC ... END) are cut at too: the pieces are refused by the server, and nothing may rely on more than that.
 */
export function statementsOf(sql: string): string[] {
  if (isOneStatement(sql)) return [sql];
  const statements: string[] = [];
  let start = 0;
  let isEmpty = true;
  const cutAt = (end: number): void => {
    if (!isEmpty) statements.push(sql.slice(start, end));
    start = end + 1;
    isEmpty = true;
  };
  const tokens = new SqlTokens(sql);
  for (; tokens.kind !== 'end'; tokens.next()) {
    if (tokens.isMark(';')) cutAt(tokens.start);
    else isEmpty = false;
  }
  cutAt(sql.length);
  return statements.length > 0 ? statements : [sql];
}
