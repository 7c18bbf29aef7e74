import type { Knex } from 'knex';
import { type AuditState, auditState, faultOfAudit } from './audit-guard.js';
import { importMigration } from './migration-file.js';
import { isLocked, isUnreachable } from '../errors/postgres-fault.js';
import { messageWithoutValues } from '../errors/postgres-message.js';
import { whileAlone, listMigrationFiles, MIGRATION_TABLE, type MigrationFile, migrationName, type Migrations } from './migration-turn.js';

/** The command must not take the migration back. The message says why, and what to do instead. */
export class RollBackRefused extends Error {
  override readonly name = 'RollBackRefused';
}

/** What a migration takes with it when it is taken back. */
export interface Loss {
  /** Such as `table patient`, or `column task."dueAt"`. */
  readonly what: string;
  /** Rows of a table, counted up to MOST_COUNTED; undefined for a column. */
  readonly rows?: number;
}

/** Rows of a table are counted no further. */
export const MOST_COUNTED = 1_000_000;

/** The migration that was run last, or undefined where none was. Nothing is locked. */
export const newestMigration = (migrations: Migrations): Promise<string | undefined> => whileAlone(migrations, ({ knex }) => newestOf(knex));

/**
 * What taking `name` back would do: it is done in a transaction, and that is rolled back. Its tables are locked meanwhile.
 * @throws {RollBackRefused} as rollBack does
 */
export const previewRollBack = (migrations: Migrations, name: string): Promise<Loss[]> => takeBack(migrations, name, 'preview');

/**
 * Takes the newest migration back, in one transaction.
 * @param name which one that is: another process may have migrated meanwhile
 * @returns what went with it
 * @throws {RollBackRefused} when it is not the newest, its file is not here, it says that it is irreversible, it does not run
 * in a transaction, or the audit trail would not be the same after it. Then nothing was changed.
 */
export const rollBack = (migrations: Migrations, name: string): Promise<Loss[]> => takeBack(migrations, name, 'for good');

function takeBack(migrations: Migrations, name: string, mode: 'preview' | 'for good'): Promise<Loss[]> {
  return whileAlone(migrations, async ({ knex }) => {
    const newest = await newestOf(knex);
    if (newest !== name) throw new RollBackRefused(`${name} is not the newest migration any more: that is ${newest ?? 'none'}. Look again.`);
    const down = await downOf(migrations, name);
    const trx = await knex.transaction();
    try {
      const losses = await runDown(trx, name, down, mode);
      await (mode === 'preview' ? trx.rollback() : trx.commit());
      return losses;
    } catch (error) {
      if (!trx.isCompleted()) await trx.rollback();
      throw faultOf(error as Error, name);
    }
  });
}

/** An error of its down says which migration it was. */
function faultOf(error: Error, name: string): Error {
  if (error instanceof RollBackRefused || isLocked(error) || isUnreachable(error)) return error;
  return new RollBackRefused(`${name} is not taken back, since its down failed: ${messageWithoutValues(error) ?? error.message}. Nothing was changed. Mend down in its file, or write a new migration that undoes it.`, { cause: error });
}

async function runDown(trx: Knex.Transaction, name: string, down: NonNullable<MigrationFile['down']>, mode: 'preview' | 'for good'): Promise<Loss[]> {
  const audit: AuditState = await auditState(trx);
  const before = await columnsOf(trx);
  if (mode === 'preview') await trx.raw('savepoint before_down');
  const transaction = await transactionId(trx);
  await down(trx);
  if ((await transactionId(trx)) !== transaction) throw new RollBackRefused(`${name} ended the transaction in which it was to be taken back, so part of it may be done: look at the database. ${ONE_TRANSACTION}`);
  await trx(MIGRATION_TABLE).where({ name }).delete();
  const fault = faultOfAudit(audit, await auditState(trx));
  if (fault !== undefined) throw new RollBackRefused(`${name} is not taken back: ${fault}. Nothing was changed. ${KEEP_IT}`);
  const losses = lossesBetween(before, await columnsOf(trx));
  if (mode === 'for good') return losses;
  await trx.raw('rollback to savepoint before_down');
  return Promise.all(losses.map(async ({ what, table }): Promise<Loss> => (table === undefined ? { what } : { what, rows: await countRows(trx, table) })));
}

const ONE_TRANSACTION = 'Its down must not commit or roll back by itself. Write a new migration that undoes it.';

async function transactionId(trx: Knex.Transaction): Promise<string> {
  const { rows } = await trx.raw<{ rows: { id: string }[] }>('select pg_current_xact_id()::text as id');
  return rows[0]!.id;
}

const KEEP_IT =
  'To go back to an older release, leave the database as it is: an older release works on a newer database. To remove an audit trail ' +
  'all the same, have the owner of the database copy it elsewhere (pg_dump --table=audit_event), remove it by hand in psql, and delete ' +
  `the migration's row from ${MIGRATION_TABLE}.`;

async function newestOf(knex: Knex): Promise<string | undefined> {
  if (!(await knex.schema.hasTable(MIGRATION_TABLE))) return undefined;
  const row = await knex<{ name: string; id: number }>(MIGRATION_TABLE).orderBy('id', 'desc').first('name');
  return row?.name;
}

/** @throws {RollBackRefused} when it has none that can be taken back as a whole */
async function downOf(migrations: Migrations, name: string): Promise<NonNullable<MigrationFile['down']>> {
  const file = (await listMigrationFiles(migrations.folder)).find((each) => migrationName(each) === name);
  if (file === undefined) throw new RollBackRefused(`The newest migration, ${name}, has no file in this release. Take it back with the release that has it, or put its file back.`);
  const { down, config, irreversible } = await importMigration(migrations, file);
  if (irreversible !== undefined) throw new RollBackRefused(`${name} is not taken back: ${irreversible}`);
  if (!down) throw new RollBackRefused(`${name} has no down, so it cannot be taken back. Write a new migration that undoes it.`);
  if (config?.transaction === false) {
    throw new RollBackRefused(`${name} does not run in a transaction, so what it does to the audit trail could not be undone. Write a new migration that undoes it.`);
  }
  // A word in a comment or a name is refused too: what is committed cannot be taken back.
  if (/\b(?:commit|rollback)\b/i.test(down.toString())) throw new RollBackRefused(`${name} is not taken back: its down has COMMIT or ROLLBACK in it. ${ONE_TRANSACTION}`);
  return down;
}

/** Each table's columns, both as SQL writes them. Views, which hold nothing, are left out. */
async function columnsOf(trx: Knex.Transaction): Promise<Map<string, readonly string[]>> {
  const { rows } = await trx.raw<{ rows: { table: string; columns: string[] }[] }>(
    `select c.oid::regclass::text as table, array_agg(quote_ident(a.attname) order by a.attnum) filter (where a.attname is not null) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relkind in ('r', 'p', 'm') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
     group by c.oid`,
  );
  return new Map(rows.map(({ table, columns }) => [table, columns]));
}

type TableLoss = Loss & { readonly table?: string };

function lossesBetween(before: Map<string, readonly string[]>, after: Map<string, readonly string[]>): TableLoss[] {
  return [...before].flatMap(([table, columns]): TableLoss[] => {
    const left = after.get(table);
    if (!left) return [{ what: `table ${table}`, table }];
    return columns.filter((column) => !left.includes(column)).map((column) => ({ what: `column ${table}.${column}` }));
  });
}

/** @param table as SQL writes it */
async function countRows(trx: Knex.Transaction, table: string): Promise<number> {
  const { rows } = await trx.raw<{ rows: { count: string }[] }>(`select count(*) from (select 1 from ${table} limit ${MOST_COUNTED}) counted`);
  return Number(rows[0]!.count);
}
