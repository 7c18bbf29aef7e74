import logger from '../logging.js';
import { controlStepOf } from './control-step.js';
import { EXACT_READING, type Figures, minus, type Reading, readingOf } from './exact-reading.js';
import type { WriteCount } from './write-count.js';

/** Asked of the server right before or right after a statement of the job, with nothing in between. */
export interface Question {
  readonly sql: string;
  readonly when: 'before' | 'after';
  /** @returns what the job's own statement must fail with */
  readonly answered: (error: Error | null, result: unknown) => Error | undefined;
}

interface Savepoint {
  readonly name: string;
  readonly written: Figures;
}

/** A transaction that began while the server's counters stood at zero. */
interface Transaction {
  readonly savepoints: Savepoint[];
  /** In the counters, but rolled back: they count what was tried. */
  undone: Figures;
  /** Read for the SAVEPOINT that comes next. */
  written?: Figures | undefined;
  /** It was rolled back to, and what that undid is still to be read. */
  rolledBackTo?: Savepoint | undefined;
  /** Its COMMIT leaves the counters at zero. */
  isRead?: boolean;
}

const IN_FAILED_TRANSACTION = '25P02';
/** The class of undefined_function and insufficient_privilege. */
const LACKING = /^42/;
/** The counters reach further back than the transaction does, unless the server has made them public, as this has it do once it is idle. */
const FLUSH = 'select pg_catalog.pg_stat_force_next_flush()';
const SETTLE = `${FLUSH}, pg_catalog.current_setting('track_counts') as "trackCounts"`;
/** What is deferred to the COMMIT may write too, so it is done now. */
const BEFORE_COMMIT = `set constraints all immediate; ${FLUSH}; ${EXACT_READING.ofLocked}`;

/**
 * Counts what one connection's explicit transactions write by the server's own counters, which see all of it: triggers,
 * functions, cascades, a WITH's writes, the two halves of an upsert. What it reads before the COMMIT replaces what
 * WriteCount had gathered. Where that cannot be exact (a server that does not count, transaction control among
 * several statements in one text), WriteCount's own figures stay.
 */
export class ExactCount {
  readonly #count: WriteCount;
  #isAvailable: boolean | undefined;
  #transaction: Transaction | undefined;
  /** The counters stand at zero: the last thing on the connection was a COMMIT before which they were read. */
  #isSettled = false;
  #isSettling = false;

  constructor(count: WriteCount) {
    this.#count = count;
  }

  /** What is to be asked along with the job's statement. @param isIdle the connection is in no transaction and has nothing in flight */
  questionFor(sql: string, isIdle: boolean): Question | undefined {
    const step = controlStepOf(sql);
    if (step?.verb === 'begin') return isIdle && this.#isAvailable !== false ? this.#begin() : undefined;
    const transaction = this.#transaction;
    if (!transaction || !step) return undefined;
    if (step.verb === 'savepoint') return this.#readBefore(EXACT_READING.ofLocked, (reading) => (transaction.written = writtenIn(transaction, reading)));
    if (step.verb === 'commit') return this.#readBefore(BEFORE_COMMIT, (reading) => this.#conclude(transaction, reading));
    return step.verb === 'rollback' ? this.#readUndone(transaction) : undefined;
  }

  /** One of the job's statements was done. */
  statementDone(sql: string, tag: string): void {
    const transaction = this.#transaction;
    if (!transaction) return;
    if (tag !== 'SAVEPOINT' && tag !== 'RELEASE' && tag !== 'ROLLBACK') {
      if (tag !== 'COMMIT') return;
      this.#isSettling = transaction.isRead === true;
      this.#transaction = undefined;
      return;
    }
    const step = controlStepOf(sql);
    const { savepoints, written } = transaction;
    const at = savepoints.findLastIndex(({ name }) => name === step?.name);
    if (step?.verb === 'savepoint' && written) savepoints.push({ name: step.name, written });
    else if (step?.verb === 'release' && at >= 0) savepoints.splice(at);
    else if (step?.verb === 'rollback' && at >= 0) [transaction.rolledBackTo] = savepoints.splice(at, Infinity, savepoints[at]!);
    // The transaction's end, or a step among several statements, around which nothing could be read.
    else this.#transaction = undefined;
    transaction.written = undefined;
  }

  /** The server waits for the next query, outside transactions. */
  idle(): void {
    this.#transaction = undefined;
    this.#isSettled = this.#isSettling;
    this.#isSettling = false;
  }

  /** Settles the counters first. The first time on a connection all is tried out, since to fail in the job's transaction would break that. */
  #begin(): Question | undefined {
    if (this.#isSettled) {
      this.#transaction = { savepoints: [], undone: new Map() };
      return undefined;
    }
    const sql = this.#isAvailable ? SETTLE : `${EXACT_READING.ofAll}; ${EXACT_READING.ofLocked}; ${SETTLE}`;
    return {
      sql,
      when: 'before',
      answered: (error, result) => {
        // Any other error, such as that the run was stopped, says nothing of the next time.
        if (error && !LACKING.test(String((error as { code?: unknown }).code))) return undefined;
        this.#isAvailable = !error && lastRow(result)?.trackCounts === 'on';
        if (this.#isAvailable) this.#transaction = { savepoints: [], undone: new Map() };
        else logger.warn("The server does not count for countWrites: 'exact', so writes are counted as by default", 'run-knex', { reason: error?.message ?? 'track_counts is off' });
        return undefined;
      },
    };
  }

  #readBefore(sql: string, use: (reading: Reading) => void): Question {
    return {
      sql,
      when: 'before',
      answered: (error, result) => {
        if (!error) use(readingOf(result));
        // If the transaction had failed before, the job's own statement reports that.
        return error && (error as { code?: unknown }).code !== IN_FAILED_TRANSACTION ? error : undefined;
      },
    };
  }

  /** All of the database's tables are looked at, since the locks by which the others are found were given up. */
  #readUndone(transaction: Transaction): Question {
    return {
      sql: EXACT_READING.ofAll,
      when: 'after',
      answered: (error, result) => {
        const { rolledBackTo } = transaction;
        transaction.rolledBackTo = undefined;
        // Else the ROLLBACK TO itself failed, and undid nothing.
        if (rolledBackTo && !error) transaction.undone = minus(readingOf(result).figures, rolledBackTo.written);
        else if (rolledBackTo && this.#transaction === transaction) this.#transaction = undefined;
        return undefined;
      },
    };
  }

  #conclude(transaction: Transaction, reading: Reading): void {
    if (transaction !== this.#transaction || transaction.rolledBackTo) return;
    transaction.isRead = true;
    this.#count.replace(reading.writesOf(writtenIn(transaction, reading)), reading.isUncounted);
  }
}

const writtenIn = ({ undone }: Transaction, { figures }: Reading): Figures => minus(figures, undone);

function lastRow(result: unknown): { trackCounts?: unknown } | undefined {
  const last = Array.isArray(result) ? result.at(-1) : result;
  return (last as { rows?: { trackCounts?: unknown }[] }).rows?.[0];
}
