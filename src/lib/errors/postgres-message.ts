import { orUndefined } from './or-undefined.js';

/** An error of Postgres, as node-postgres gives it. */
export function isPostgresError(error: object): boolean {
  const severity = orUndefined(() => (error as { severity?: unknown }).severity);
  const code = orUndefined(() => (error as { code?: unknown }).code);
  return typeof severity === 'string' && typeof code === 'string' && /^[\dA-Z]{5}$/.test(code);
}

/**
 * The message of an error without what Postgres quotes of a value: `invalid input syntax for type integer: "[Value]"`. For its
 * errors of classes 22 (data) and 23 (constraints); undefined for any other. The names of tables, columns and constraints,
 * and the SQL that knex puts first, are kept.
 */
export function messageWithoutValues(error: object): string | undefined {
  if (!isPostgresError(error)) return undefined;
  const { code, message } = error as { code: unknown; message: unknown };
  if (typeof code !== 'string' || !/^2[23]/.test(code) || typeof message !== 'string') return undefined;
  const blanked = withoutQuotedValue(message.replace(/: "[^]*"/, `: "${VALUE}"`));
  const [, sql = '', said = blanked] = /^(\s*(?:\/\*|\(|with|select|insert|update|delete|merge|copy)\b[^]*) - ([^]*)$/i.exec(blanked) ?? [];
  // SQL with half a quoted value in it.
  if (sql.split('"').length % 2 === 0) return blanked.replace(QUOTED, quotedName);
  return `${sql && `${sql.replace(/'[^']*'/g, `'${VALUE}'`)} - `}${said.replace(QUOTED, quotedName)}`;
}

const VALUE = '[Value]';
const QUOTED = /(\b(?:column|relation|table|constraint|index|type|domain|enum|encoding|schema|function) )?"[^"]*"/g;
const quotedName = (quoted: string, kind: string | undefined): string => (kind === undefined ? `"${VALUE}"` : quoted);

const [BEFORE, AFTER] = ['value "', /^ (?:is|out)\b/];

/** Without the value of `value "..." is out of range`. It may have quotes in it, so it goes on to the last one that it can. */
function withoutQuotedValue(message: string): string {
  const start = message.search(/\bvalue "/);
  if (start < 0) return message;
  const from = start + BEFORE.length;
  for (let end = message.lastIndexOf('"'); end >= from; end = message.lastIndexOf('"', end - 1)) {
    if (AFTER.test(message.slice(end + 1, end + 6))) return `${message.slice(0, from)}${VALUE}${message.slice(end)}`;
  }
  return message;
}
