export type WriteVerb = 'insert' | 'update' | 'delete' | 'merge' | 'copy' | 'truncate';

/** A write in a statement's text, or a step between savepoints, which decides whether writes stay. */
export interface SqlStep {
  readonly verb: WriteVerb | 'savepoint' | 'release' | 'rollback';
  /** The table as the text names it, with its schema only where the text has one; or the savepoint; empty for a plain ROLLBACK. */
  readonly name: string;
  /** Not inside parentheses: the server's command tag counts its rows. */
  readonly isTop: boolean;
}

/** One part of a name, quoted or not; as the source of a regular expression. */
export const NAME_PART = String.raw`(?:"(?:[^"]|"")+"|[\w$\u0080-\uffff]+)`;
const GAP = String.raw`(?:\s|--[^\n]*|/\*[\s\S]*?\*/)+`;
const ONLY = `(?:${GAP}only)?`;
const NAME = String.raw`${NAME_PART}(?:\s*\.\s*${NAME_PART})*`;
const COLUMNS = String.raw`(?:\s*\([^)]*\))?\s*`;
/** What makes `UPDATE` something other than a statement: FOR UPDATE, ON UPDATE CASCADE, BEFORE UPDATE, ... */
const NO_STATEMENT = String.raw`(?<!\b(?:for|do|key|then|on|before|after|of|or)\s+)`;

/** One after the other, so that what stands in a comment, a literal or a quoted name is passed over as a whole. */
const TOKEN = new RegExp(
  [
    String.raw`--[^\n]*|/\*[\s\S]*?\*/`,
    String.raw`\be'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'`,
    String.raw`\$([a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?\$\1\$`,
    `"(?:[^"]|"")*"`,
    `([();])`,
    String.raw`\b(?:(insert)${GAP}into|${NO_STATEMENT}(update)${ONLY}(?!\s+set\b)|(delete)${GAP}from${ONLY}|(merge)${GAP}into${ONLY})${GAP}(${NAME})`,
    String.raw`\bcopy${GAP}(${NAME})(?=${COLUMNS}from\b)`,
    String.raw`\btruncate(?:${GAP}table)?${ONLY}${GAP}(${NAME}(?:\s*,\s*(?:only\s+)?${NAME})*)`,
    String.raw`\bsavepoint\s+(${NAME_PART})`,
    String.raw`\brelease(?:\s+savepoint)?\s+(${NAME_PART})`,
    String.raw`\b(rollback)(?:\s+(?:work|transaction))?(?:\s+to(?:\s+savepoint)?\s+(${NAME_PART}))?`,
  ].join('|'),
  'gi',
);
const PARTS = new RegExp(NAME_PART, 'g');

/** A name as SQL writes it, without its quotes: `"My Schema"."T"` is `My Schema.T`. */
export const plainName = (name: string): string =>
  (name.match(PARTS) ?? []).map((part) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase())).join('.');

/** Texts kept with what was found in them: a job sends the same few again and again. In characters. */
const MOST_CACHED_TEXT = 2_000_000;
const cache = new Map<string, readonly SqlStep[]>();
let cachedText = 0;

/** What the statements of `sql` write, in the order of the text: a WITH's writes stand before those of its own statement. */
export function stepsOf(sql: string): readonly SqlStep[] {
  const known = cache.get(sql);
  if (known) return known;
  if (cachedText > MOST_CACHED_TEXT) {
    cache.clear();
    cachedText = 0;
  }
  const steps = findSteps(sql);
  // A savepoint's name is a new one each time: its text does not come again.
  if (steps.some(({ verb }) => verb === 'savepoint' || verb === 'release' || verb === 'rollback')) return steps;
  cache.set(sql, steps);
  cachedText += sql.length;
  return steps;
}

function findSteps(sql: string): SqlStep[] {
  const steps: SqlStep[] = [];
  let depth = 0;
  const add = (verb: SqlStep['verb'], name: string) => steps.push({ verb, name: plainName(name), isTop: depth === 0 });
  for (const [, , mark, insert, update, del, merge, table, copied, truncated, savepoint, release, rollback, to] of sql.matchAll(TOKEN)) {
    const verb = insert ?? update ?? del ?? merge;
    if (mark) depth = mark === ';' ? 0 : Math.max(0, depth + (mark === '(' ? 1 : -1));
    else if (verb && table) add(verb.toLowerCase() as WriteVerb, table);
    else if (copied) add('copy', copied);
    else if (truncated) for (const name of truncated.split(/,\s*(?:only\s+)?/i)) add('truncate', name);
    else if (savepoint) add('savepoint', savepoint);
    else if (release) add('release', release);
    else if (rollback) add('rollback', to ?? '');
  }
  return steps;
}
