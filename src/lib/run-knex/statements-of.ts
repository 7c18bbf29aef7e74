/**
 * What is skipped or found between two statements. Each part is linear: a quote, a dollar quote, a comment or a run of
 * plain characters is passed over once. A block comment is handled apart, since it nests.
 */
const PART = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|--[^\n]*|\/\*|;|\s+|[^'"$\-/;\s]+|[^]/y;
const ESCAPE_STRING = /'(?:[^'\\]|\\[^]|'')*'/y;
const COMMENT_EDGE = /\/\*|\*\//g;

/** True where there is no semicolon before the end, so that it cannot be several statements. False says nothing: the semicolon may stand in a quote. */
export const isOneStatement = (sql: string): boolean => !/;\s*\S/.test(sql);

/**
 * Cuts a text into its statements, without their semicolons; what has no statement in it gives none. It is no parser: a cut
 * at the wrong place makes pieces that the server refuses, and nothing may rely on it for more than that.
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
  let at = 0;
  while (at < sql.length) {
    PART.lastIndex = at;
    const part = PART.exec(sql)![0];
    if (part === ';') cutAt(at);
    else if (!part.startsWith('--') && part !== '/*' && part.trim() !== '') isEmpty = false;
    at = endOf(sql, at, part);
  }
  cutAt(sql.length);
  return statements.length > 0 ? statements : [sql];
}

/** Where the part that begins at `at` ends. */
function endOf(sql: string, at: number, part: string): number {
  const next = at + part.length;
  if (part === '/*') return endOfComment(sql, next);
  if (part.length > 1 && part.startsWith('$') && part.endsWith('$')) {
    const end = sql.indexOf(part, next);
    return end < 0 ? sql.length : end + part.length;
  }
  // E'...' takes backslashes: its quote was read together with what stood before it, up to the quote.
  if (/(?:^|\W)[eE]$/.test(part) && sql[next] === "'") {
    ESCAPE_STRING.lastIndex = next;
    return next + (ESCAPE_STRING.exec(sql)?.[0].length ?? 0);
  }
  return next;
}

function endOfComment(sql: string, from: number): number {
  COMMENT_EDGE.lastIndex = from;
  for (let depth = 1; depth > 0; ) {
    const edge = COMMENT_EDGE.exec(sql);
    if (!edge) return sql.length;
    depth += edge[0] === '/*' ? 1 : -1;
  }
  return COMMENT_EDGE.lastIndex;
}
