import type { WriteVerb } from './sql-writes.js';

/** Rows that a statement wrote; `rows` is undefined where it wrote, but the server does not say how many. */
export interface CountedWrite {
  readonly table: string;
  readonly verb: WriteVerb;
  readonly rows: number | undefined;
}

/** A number is exact. The words say that there was more which could not be counted. */
export type WrittenRows = number | 'unknown' | `at least ${number}`;

/** By table, then by verb: `{ "patient": { "update": 500 }, "audit": { "insert": "unknown" } }`. Plain JSON. */
export type RunWrites = Readonly<Record<string, Readonly<Partial<Record<WriteVerb, WrittenRows>>>>>;

interface Total {
  rows: number;
  isExact: boolean;
}

/** What one run wrote and committed. */
export class WriteTotals {
  readonly #tables = new Map<string, Map<WriteVerb, Total>>();

  add({ table, verb, rows }: CountedWrite): void {
    const verbs = getOrAdd(this.#tables, table, () => new Map<WriteVerb, Total>());
    const total = getOrAdd(verbs, verb, () => ({ rows: 0, isExact: true }));
    if (rows === undefined) total.isExact = false;
    else total.rows += rows;
  }

  /** What touched no row is left out, so that a run which found nothing to change shows as one that wrote nothing. */
  toJSON(): RunWrites {
    const tables = [...this.#tables].map(([table, verbs]) => {
      const shown = [...verbs].filter(([, { rows, isExact }]) => rows > 0 || !isExact).map(([verb, total]) => [verb, shownRows(total)] as const);
      return [table, Object.fromEntries(shown)] as const;
    });
    return Object.fromEntries(tables.filter(([, verbs]) => Object.keys(verbs).length > 0));
  }
}

function shownRows({ rows, isExact }: Total): WrittenRows {
  if (isExact) return rows;
  return rows === 0 ? 'unknown' : `at least ${rows}`;
}

function getOrAdd<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
