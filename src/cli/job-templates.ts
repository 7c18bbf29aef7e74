import type { JobCategory } from '../lib/job-files/categories.js';
import { functionNameOf } from '../lib/job-files/function-name.js';
import { CliError } from './cli-error.js';
import { factoryFile, factoryOf, whyNoFactory } from './table-factory.js';

/** What a category's template works on, and what a table has to have for its spec. */
interface TemplateFacts {
  readonly table: string;
  readonly column: string;
  /** The type of that column. */
  readonly type: string;
  /** Further columns that it uses, as `create table` takes them. */
  readonly columns: readonly string[];
  /** Tables that it uses besides. */
  readonly others?: readonly string[];
}

const CREATED = '"createdBy" uuid';
const UPDATED = ['"updatedAt" timestamptz not null default now()', '"updatedBy" uuid'];
const DELETED = ['"deletedAt" timestamptz', '"deletedBy" uuid'];
const OPEN = `status text not null default 'open'`;

export const TEMPLATES: Readonly<Record<JobCategory, TemplateFacts>> = {
  backfill: { table: 'patient', column: 'phone', type: 'text', columns: UPDATED, others: ['user'] },
  cache: {
    table: 'member_signal',
    column: 'value',
    type: 'double precision',
    columns: ['"memberId" text', 'signal text', '"observedAt" timestamptz', '"updatedAt" timestamptz not null default now()', 'primary key ("memberId", signal)'],
  },
  export: { table: 'patient', column: 'phone', type: 'text', columns: [] },
  bulk: { table: 'task', column: 'deleteReason', type: 'text', columns: [...DELETED, ...UPDATED], others: ['user'] },
  sync: { table: 'clinician_mapping', column: 'displayName', type: 'text', columns: ['"externalId" text', '"syncedAt" timestamptz', ...UPDATED], others: ['user'] },
  create: { table: 'market', column: 'state', type: 'text', columns: ['name text unique'] },
  delete: { table: 'task', column: 'expiresAt', type: 'timestamptz', columns: [...DELETED, ...UPDATED], others: ['user'] },
  update: { table: 'workflow', column: 'priority', type: 'text', columns: [OPEN, ...UPDATED], others: ['user'] },
  start: { table: 'workflow', column: 'type', type: 'text', columns: ['"patientId" uuid', OPEN, CREATED, ...UPDATED], others: ['user', 'patient'] },
  cleanup: { table: 'task', column: 'deletedAt', type: 'timestamptz', columns: [] },
  cancel: { table: 'workflow', column: 'dueAt', type: 'timestamptz', columns: [OPEN, '"closedAt" timestamptz', '"cancelReason" text', ...UPDATED], others: ['user'] },
};

/** Two files: a job and its spec. */
export interface JobFiles {
  readonly job: string;
  readonly spec: string;
}

export interface WantedJob {
  readonly slug: string;
  /** Undefined: the plain template, which works on no table. */
  readonly category: JobCategory | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  /** The module of the job, as its spec imports it. */
  readonly module: string;
}

/** The name that stands in a category's template, and is its file's. */
export const templateSlug = (category: JobCategory | undefined): string => (category ? `${category}-template-name` : 'template-name');

/**
 * The template's files under the wanted names. A spec that is to work on another table or column than the template's own uses the
 * table's factory where that can make what the spec needs, and else a stand-in for the table.
 * @param root the folder of the source, with the factories, the rows' types and the migrations
 * @throws {CliError} when the table or column is none, or the template uses it for something else
 */
export function fillTemplate(root: string, template: JobFiles, wanted: WantedJob): JobFiles {
  const own = templateSlug(wanted.category);
  const named = ({ job, spec }: JobFiles): JobFiles => ({
    job: rename(job, own, wanted.slug),
    spec: rename(spec.replace(`@commons/backend/__tests__/fixtures/templates/${own}.js`, wanted.module), own, wanted.slug),
  });
  if (!wanted.category) {
    if (wanted.table !== undefined || wanted.column !== undefined) throw new CliError('--table and --column go with a category; the plain template works on no table');
    return named(template);
  }
  const facts = TEMPLATES[wanted.category];
  const { table = facts.table, column = facts.column } = wanted;
  checkNames(facts, table, column);
  if (table === facts.table && column === facts.column) return named(template);
  const put = (text: string) => text.replace(new RegExp(`(?<!import )\\b(${facts.table}|${facts.column})\\b`, 'g'), (word) => (word === facts.table ? table : column));
  const reason = template.spec.includes(ownImport(facts))
    ? whyNoFactory(root, table, { name: column, type: facts.type }, facts.columns)
    : 'the job needs columns of its own';
  const spec = reason === undefined ? withFactory(template.spec, facts, table, put) : put(withStandIn(template.spec, facts, table, reason));
  // The names last: they may hold the very words.
  return named({ job: put(template.job), spec });
}

function rename(text: string, own: string, slug: string): string {
  return text.replaceAll(own, slug).replaceAll(functionNameOf(own), functionNameOf(slug));
}

/** snake_case as tables are, and a length that Postgres keeps. */
const TABLE = /^[a-z][a-z0-9_]{0,62}$/;
const COLUMN = /^[a-zA-Z][a-zA-Z0-9_]{0,62}$/;

function checkNames({ table: ownTable, column: ownColumn, columns, others = [] }: TemplateFacts, table: string, column: string): void {
  if (!TABLE.test(table)) throw new CliError(`--table ${JSON.stringify(table)} is no table's name: a-z, 0-9 and _, a letter first, 63 characters at most`);
  if (!COLUMN.test(column)) throw new CliError(`--column ${JSON.stringify(column)} is no column's name: letters, digits and _, a letter first, 63 characters at most`);
  if (table !== ownTable && others.includes(table)) throw new CliError(`the template uses the table ${table} besides. Make the job without --table, and write your table in`);
  const used = ['id', ...columns.map((definition) => /^"?(\w+)/.exec(definition)![1]!)];
  if (column !== ownColumn && used.includes(column)) throw new CliError(`the template uses the column ${column} for something else. Make the job without --column, and write it in`);
}

const ownImport = ({ table }: TemplateFacts): string => importLine(factoryOf(table), factoryFile(table));

/** The other table's factory in place of the template's own. Its file's name is not touched: it may hold one of the words. */
const withFactory = (spec: string, facts: TemplateFacts, table: string, put: (text: string) => string): string =>
  put(spec.replace(ownImport(facts), '\0').replaceAll(factoryOf(facts.table), factoryOf(table))).replace('\0', importLine(factoryOf(table), factoryFile(table)));

/** A table with what the spec needs, in place of the table's factory. */
function withStandIn(spec: string, facts: TemplateFacts, newTable: string, reason: string): string {
  const { table, column, type, columns } = facts;
  const own = ownImport(facts);
  const made = spec.includes(own) ? `const ${factoryOf(newTable)} = ` : '';
  const sql = [`"${column}" ${type}`, ...columns].map((definition) => `  ${definition.includes("'") ? JSON.stringify(definition) : `'${definition}'`},\n`).join('');
  const standIn = `// Stands in for ${table}, in this spec's own database, with what the job uses of it (${reason}). Once a factory makes that, it belongs here.\n${made}standInTable('${table}', [\n${sql}]);\n`;
  return (spec.includes(own) ? spec : spec.replace('\n\njest.mock(', `\n${own}\njest.mock(`))
    .replace(own, importLine('standInTable', 'stand-in-table.js'))
    .replaceAll(factoryOf(table), factoryOf(newTable))
    .replace(/(\njest\.mock\('[^']+'\);\n)(?!jest\.mock)/, `$1\n${standIn}`);
}

const HELPERS = '@commons/backend/__tests__/helpers';
const importLine = (name: string, file: string): string => `import { ${name} } from '${HELPERS}/${file}';\n`;
