import type { Knex } from 'knex';

/** An append-only table, as far as taking a migration back must leave it alone. */
interface GuardedTable {
  readonly name: string;
  /** The file that holds its rows: another one after TRUNCATE, or when the table was made anew. */
  readonly file: string;
  readonly columns: readonly string[];
  /** Its enabled triggers of the append-only kind, each with a digest of what it does. */
  readonly guards: readonly string[];
  /** Rows that this transaction changed or deleted. */
  readonly touched: number;
}

export type AuditState = ReadonlyMap<string, GuardedTable>;

/**
 * Every append-only table as it is in this transaction: `audit_event`, and each that has an enabled trigger whose function's
 * name ends in `is_append_only`. A later migration's table is found by that name, whatever the table is called.
 */
export async function auditState(trx: Knex.Transaction): Promise<AuditState> {
  const { rows } = await trx.raw<{ rows: (GuardedTable & { oid: string })[] }>(
    `select c.oid::text, c.oid::regclass::text as name, c.relfilenode::text as file,
       (select array_agg(a.attname::text order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       coalesce(guard.names, '{}') as guards,
       (pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid))::int as touched
     from pg_class c
     left join lateral (
       select array_agg(t.tgname || ' ' || md5(p.prosrc || pg_get_triggerdef(t.oid)) order by t.tgname) as names from pg_trigger t join pg_proc p on p.oid = t.tgfoid
       where t.tgrelid = c.oid and t.tgenabled in ('O', 'A') and p.proname like '%is\\_append\\_only'
     ) guard on true
     where c.relkind in ('r', 'p') and (guard.names is not null or c.oid = to_regclass('audit_event'))`,
  );
  return new Map(rows.map(({ oid, ...table }) => [oid, table]));
}

/** What was done to the append-only tables between the two states; undefined where they are untouched. */
export function faultOfAudit(before: AuditState, after: AuditState): string | undefined {
  for (const [oid, was] of before) {
    const fault = faultOf(was, after.get(oid));
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOf(was: GuardedTable, is: GuardedTable | undefined): string | undefined {
  const { name } = was;
  // A table without its guards is found no longer, unless it is audit_event.
  if (!is) return `the append-only table ${name} would be dropped, or could be changed from then on`;
  if (is.name !== name) return `the append-only table ${name} would become ${is.name}`;
  if (is.file !== was.file) return `the append-only table ${name} would be emptied or written anew`;
  if (is.touched > was.touched) return `rows of the append-only table ${name} would be changed or deleted`;
  const column = was.columns.find((each) => !is.columns.includes(each));
  if (column !== undefined) return `the append-only table ${name} would lose its column ${column}`;
  const guard = was.guards.find((each) => !is.guards.includes(each));
  return guard === undefined ? undefined : `the append-only table ${name} would lose its trigger ${guard.split(' ', 1)[0]}, or what that does, and could be changed from then on`;
}
