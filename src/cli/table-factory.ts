import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { functionNameOf } from '../lib/job-files/function-name.js';

/** A column that a template's spec fills, as `create table` takes it: `"updatedBy" uuid`. */
const COLUMN = /^"?(\w+)"? ([a-z ]+?)(?: not null| default|$)/;
/** What the column's type is in a row. */
const ROW_TYPES: Readonly<Record<string, string>> = { text: 'string', uuid: 'string', timestamptz: 'Date', 'double precision': 'number' };

/** The name of a table's factory, whether there is one or not. */
export const factoryOf = (table: string): string => `${functionNameOf(fileOf(table))}Factory`;

/** Where a table's factory is, seen from the helpers of the specs. */
export const factoryFile = (table: string): string => `factories/${fileOf(table)}-factory.js`;

const fileOf = (table: string): string => table.replace(/_+/g, '-').replace(/-$/, '');

/**
 * Why a template's spec cannot use the table's factory; undefined when it can. It looks at the files alone, since `create` needs no
 * database: at the factory, at the row's type in models/tables.ts, and at the migrations. In doubt the answer is no.
 * @param column the one that the template works on. The spec leaves it empty, and gives several rows the same value.
 * @param others as `create table` takes them
 */
export function whyNoFactory(root: string, table: string, column: { readonly name: string; readonly type: string }, others: readonly string[]): string | undefined {
  if (!existsSync(path.join(root, '__tests__/helpers', factoryFile(table).replace(/\.js$/, '.ts')))) return 'it has no factory';
  const types = rowTypes(root, table);
  if (!types) return 'models/tables.ts does not say what columns it has';
  if (types.get(column.name) !== `${ROW_TYPES[column.type]} | null`) return `it has no column ${column.name} that is ${column.type} and may be null`;
  for (const definition of others) {
    const [, name = '', type = ''] = COLUMN.exec(definition) ?? [];
    const rowType = types.get(name)?.replace(/ \| null$/, '');
    if (rowType === undefined || rowType !== ROW_TYPES[type]) return `it has no column ${name || definition} that is ${type || 'so'}`;
  }
  return isFree(root, table, column.name) ? undefined : `${column.name} may not have any value, as the migrations have it`;
}

/** The columns' types of the row in models/tables.ts, by their names. */
function rowTypes(root: string, table: string): Map<string, string> | undefined {
  const file = path.join(root, 'models/tables.ts');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const camel = functionNameOf(fileOf(table));
  const fieldsOf = (name: string): [string, string][] | undefined => {
    const [, bases = '', body] = new RegExp(`\\binterface ${name}(?: extends ([\\w, ]+))? \\{\\n([^]*?)\\n\\}`).exec(text) ?? [];
    if (body === undefined) return undefined;
    const inherited = bases.split(', ').flatMap((base) => (base ? (fieldsOf(base) ?? []) : []));
    const own = [...body.matchAll(/^ +readonly (\w+): (.+);$/gm)].map(([, field, type]): [string, string] => [field!, type!]);
    return [...inherited, ...own];
  };
  const fields = fieldsOf(camel.charAt(0).toUpperCase() + camel.slice(1));
  return fields && new Map(fields);
}

/** No line of the migrations that names the column of this table makes it unique, checks it, or has it refer to another table. */
function isFree(root: string, table: string, column: string): boolean {
  const folder = path.join(root, 'models/migrations');
  const texts = existsSync(folder) ? readdirSync(folder).map((file) => readFileSync(path.join(folder, file), 'utf8')) : [];
  const tables = texts.flatMap((text) => [...text.matchAll(new RegExp(`\\b(?:create|alter) table "?${table}"?\\s([^]*?);|'${table}'[^]*`, 'gi'))].map(([found]) => found));
  const lines = tables.join('\n').split('\n').filter((line) => new RegExp(`\\b${column}\\b`).test(line));
  return lines.length > 0 && !lines.some((line) => /unique|check|references|primary/i.test(line));
}
