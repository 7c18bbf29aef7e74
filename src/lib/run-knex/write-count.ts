import { type SqlStep, stepsOf, type WriteVerb } from './sql-writes.js';
import type { CountedWrite } from './write-totals.js';

/** What was written since a savepoint (or since the transaction began, for the first one). */
interface Frame {
  readonly savepoint: string;
  readonly writes: CountedWrite[];
}

/** The table of a write whose text does not name one, such as EXECUTE. */
const UNNAMED = 'unknown';
const COUNTED = new Set(['insert', 'update', 'delete', 'merge', 'copy', 'truncate', 'select', 'explain']);

/**
 * Follows one connection's transactions by what the server answers, and hands on what was written at the COMMIT, never
 * before: rolled-back work counts nothing. Rows come from the server's command tags, tables from the statement's text.
 */
export class WriteCount {
  readonly #commit: (writes: readonly CountedWrite[]) => void;
  #frames: Frame[] = [{ savepoint: '', writes: [] }];
  #hasFailed = false;
  /** The query whose answers come in, and how far in its text they have come. */
  #query: object | undefined;
  #steps: readonly SqlStep[] = [];
  #next = 0;

  constructor(commit: (writes: readonly CountedWrite[]) => void) {
    this.#commit = commit;
  }

  /** One of the query's statements was done. @param tag such as `UPDATE 3` */
  statementDone(query: object, sql: string, tag: string): void {
    const end = tag.indexOf(' ');
    const command = (end < 0 ? tag : tag.slice(0, end)).toLowerCase();
    if (command === 'commit') return this.#flush();
    const isCounted = COUNTED.has(command);
    if (!isCounted && command !== 'savepoint' && command !== 'release' && command !== 'rollback') return;
    if (this.#query !== query) {
      this.#query = query;
      this.#steps = stepsOf(sql);
      this.#next = 0;
    }
    if (isCounted) this.#count(command as WriteVerb | 'select' | 'explain', tag);
    else this.#moveBetweenSavepoints(command as 'savepoint' | 'release' | 'rollback');
  }

  /**
   * What the open transaction wrote, as the server itself counted it: it replaces what was gathered here.
   * @param isUncounted tables of which the server counts nothing; of these, and of every TRUNCATE, what was gathered stays
   */
  replace(writes: readonly CountedWrite[], isUncounted: (table: string) => boolean): void {
    const kept = this.#frames.flatMap((frame) => frame.writes.filter(({ verb, table }) => verb === 'truncate' || isUncounted(table)));
    this.#frames = [{ savepoint: '', writes: [...writes, ...kept] }];
  }

  /** An error came back, so the transaction that the statement was in is lost (or its own, where it had none). */
  failed(): void {
    this.#hasFailed = true;
  }

  /** The server waits for the next query. @param isIdle no transaction is open: what there was is committed, unless it failed */
  ready(isIdle: boolean): void {
    if (isIdle && this.#hasFailed) this.#drop();
    else if (isIdle) this.#flush();
    this.#hasFailed = false;
    this.#query = undefined;
  }

  /** A stream was closed before its statement's tag came: what it wrote was written, but nobody says how many rows. */
  statementLeft(query: object, sql: string): void {
    if (this.#query === query || this.#hasFailed) return;
    for (const { verb, name } of stepsOf(sql)) if (isWrite(verb)) this.#add(name, verb, undefined);
  }

  /** Statements of one text answer in its order. The tag counts the statement's own rows, not those that its WITH wrote; EXPLAIN's counts nothing. */
  #count(command: WriteVerb | 'select' | 'explain', tag: string): void {
    const rows = command === 'truncate' ? undefined : Number(tag.slice(tag.lastIndexOf(' ') + 1));
    while (this.#next < this.#steps.length) {
      const { verb, name, isTop } = this.#steps[this.#next]!;
      // It is a later statement's.
      if (isTop && (command === 'select' || command === 'explain')) return;
      this.#next++;
      if (isTop && verb === command) {
        this.#add(name, verb, rows);
        // TRUNCATE a, b answers once.
        if (verb !== 'truncate' || this.#steps[this.#next]?.verb !== 'truncate') return;
      } else if (!isTop && isWrite(verb)) this.#add(name, verb, undefined);
    }
    const isUnfound = command === 'insert' || command === 'update' || command === 'delete' || command === 'merge';
    if (isUnfound && !this.#steps.some(({ verb, isTop }) => isTop && verb === command)) this.#add(UNNAMED, command, rows);
  }

  #add(table: string, verb: WriteVerb, rows: number | undefined): void {
    this.#frames.at(-1)!.writes.push({ table, verb, rows });
  }

  /** RELEASE keeps what was written since the savepoint, ROLLBACK TO drops it. */
  #moveBetweenSavepoints(command: 'savepoint' | 'release' | 'rollback'): void {
    const at = this.#steps.findIndex(({ verb }, index) => index >= this.#next && !isWrite(verb));
    const step = this.#steps[at];
    // The server answers ROLLBACK to a COMMIT that it could not do, too.
    if (!step || step.verb !== command || step.name === '') return command === 'rollback' ? this.#drop() : undefined;
    this.#next = at + 1;
    if (command === 'savepoint') return void this.#frames.push({ savepoint: step.name, writes: [] });
    const from = this.#frames.findLastIndex(({ savepoint }) => savepoint === step.name);
    if (from < 1) return;
    const cut = this.#frames.splice(from);
    if (command === 'rollback') this.#frames.push({ savepoint: step.name, writes: [] });
    else this.#frames.at(-1)!.writes.push(...cut.flatMap(({ writes }) => writes));
  }

  #flush(): void {
    for (const { writes } of this.#frames) if (writes.length > 0) this.#commit(writes);
    this.#drop();
  }

  #drop(): void {
    if (this.#frames.length > 1 || this.#frames[0]!.writes.length > 0) this.#frames = [{ savepoint: '', writes: [] }];
  }
}

const isWrite = (verb: SqlStep['verb']): verb is WriteVerb => verb !== 'savepoint' && verb !== 'release' && verb !== 'rollback';
