import { plainName } from './sql-writes.js';
import type { CountedWrite } from './write-totals.js';

const VERBS = ['insert', 'update', 'delete'] as const;

/** Rows inserted, updated and deleted. */
type Rows = readonly [number, number, number];

/** By the relation's oid. */
export type Figures = ReadonlyMap<string, Rows>;

/** What the server's counters say at one moment. */
export interface Reading {
  readonly figures: Figures;
  /** The writes of each table. Those of a partition count for its partitioned table. */
  readonly writesOf: (figures: Figures) => CountedWrite[];
  /** Another server holds the table, and this one counts none of its rows. */
  readonly isUncounted: (table: string) => boolean;
}

interface ReadRow {
  readonly oid: string;
  readonly table: string;
  readonly inserted: string;
  readonly updated: string;
  readonly deleted: string;
}

/** Below it are the oids of the system's own catalogues (PostgreSQL's transam.h, FirstNormalObjectId). */
const FIRST_OID = 16_384;
const COUNTERS = `pg_catalog.pg_stat_get_xact_tuples_inserted(oid) as inserted, pg_catalog.pg_stat_get_xact_tuples_updated(oid) as updated,
  pg_catalog.pg_stat_get_xact_tuples_deleted(oid) as deleted`;
const ROWS = `select oid, coalesce(pg_catalog.pg_partition_root(oid), oid)::pg_catalog.regclass::pg_catalog.text as "table", inserted, updated, deleted from counted
  where inserted + updated + deleted > 0`;

/**
 * Rows of the transaction by relation, from the counters behind pg_stat_xact_user_tables (PostgreSQL's documentation, 27.2.21).
 * They count what was tried: what was rolled back to a savepoint stays in them, which whoever reads them must take out.
 */
export const EXACT_READING = {
  /** Every relation that the transaction wrote: it holds a lock on each until its end. This costs the same in a database of many tables as in one of few. */
  ofLocked: `with counted as materialized (select oid, ${COUNTERS} from (select distinct relation from pg_catalog.pg_locks
    where pid = pg_catalog.pg_backend_pid() and locktype = 'relation' and relation >= ${FIRST_OID}::pg_catalog.oid) as locked (oid))
    ${ROWS} or exists (select from pg_catalog.pg_foreign_table where ftrelid = oid)`,
  /** Every relation that has a counter, even one whose lock was given up. */
  ofAll: `with counted as materialized (select oid, ${COUNTERS} from pg_catalog.pg_class where relkind = 'r' and oid >= ${FIRST_OID}::pg_catalog.oid) ${ROWS}`,
};

/** TOAST tables, in which the server keeps long values. */
const TOAST = /^pg_toast(?:_temp_\d+)?\.pg_toast_\d+$/;

/** @param result of a query of EXACT_READING, alone or the last of several in one text */
export function readingOf(result: unknown): Reading {
  const { rows } = (Array.isArray(result) ? result.at(-1) : result) as { rows: readonly ReadRow[] };
  const tables = new Map<string, string>();
  const figures = new Map<string, Rows>();
  const uncounted = new Set<string>();
  for (const { oid, table, inserted, updated, deleted } of rows) {
    if (TOAST.test(table)) continue;
    const name = plainName(table);
    const read: Rows = [Number(inserted), Number(updated), Number(deleted)];
    tables.set(String(oid), name);
    figures.set(String(oid), read);
    if (!read.some(Boolean)) uncounted.add(lastPart(name));
  }
  return {
    figures,
    writesOf: (written) =>
      Array.from(written, ([oid, counts]) => VERBS.map((verb, i) => ({ table: tables.get(oid) ?? oid, verb, rows: counts[i]! }))).flat().filter(({ rows: count }) => count > 0),
    isUncounted: (table) => uncounted.has(lastPart(table)),
  };
}

/** What is in `figures`, less what `others` has of it. */
export const minus = (figures: Figures, others: Figures): Figures =>
  new Map(
    Array.from(figures, ([oid, rows]) => {
      const less = others.get(oid);
      return [oid, less ? [rows[0] - less[0], rows[1] - less[1], rows[2] - less[2]] : rows];
    }),
  );

const lastPart = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
