import type { DriverConnection } from './pg-internals.js';
import { isOneStatement } from './statements-of.js';

/**
 * What the guard itself sends. A transaction that is read-only, and has taken a snapshot, cannot be made read-write again:
 * Postgres refuses that (check_transaction_read_only in its variable.c). So the SELECT is what makes it final.
 */
const OPEN = 'begin transaction read only; select 1';
const FENCE = 'set transaction read only; select 1';
const CLOSE = 'commit';
/** Does nothing, in a failed transaction too. Once it is answered, so is everything before it. */
const NOTHING = '';
const OURS: ReadonlySet<string> = new Set([OPEN, FENCE, CLOSE, NOTHING]);

/** A text of one statement cannot be anything else than its first keyword says. These take a snapshot before they do anything, and end no transaction. */
const PLAIN = /^\s*(?:select|insert|update|delete|with|values|table|merge)\b/i;
/** These write nothing, and cannot be done inside a transaction, or set what must be set before its first query. */
const BARE = /^\s*(?:begin|start|discard)\b/i;
const CHARACTERISTICS = /^\s*set\s+transaction\s/i;

/** The connection that is guarded. */
interface Guarded {
  getTransactionStatus(): string | null;
  /** Sends one of the guard's own texts. */
  ask(sql: string): Promise<unknown>;
}

/**
 * Keeps a dry run's connection to reading, whatever the job sends. Settings do not do that, since a job can change them.
 * So each statement is done in a transaction that Postgres itself will not let become read-write: one that the job began
 * is made so before its first statement, and any statement outside transactions that might begin one (DO and CALL
 * can) is put into one. The server gets a single statement at a time, so nothing can come between the two.
 */
export class ReadOnlyGuard {
  readonly #guarded: Guarded;
  #turn: Promise<unknown> = Promise.resolve();
  #isFenced = false;
  /** The driver tells of an error before the server has said what became of the transaction: until then its status is that of before. */
  #isStatusOld = false;
  /** The open transaction is the guard's, and ends with the job's statement. */
  #isOwn = false;
  /** default_transaction_read_only, as the server reports it with every change; older ones than PostgreSQL 14 do not. */
  reportedDefault: string | undefined;

  constructor(guarded: Guarded) {
    this.#guarded = guarded;
  }

  /** Sends a text's statements one after the other, once everything before it is done. @returns what each came to */
  sendEach<Result>(statements: readonly string[], send: (statement: string) => Promise<Result>): Promise<Result[]> {
    const results = this.#turn.then(() => this.#sendEach(statements, send));
    this.#turn = results.catch(ignore);
    return results;
  }

  /** Resolves once nothing is left to be sent. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  /** One statement was done. @param tag the server's, such as `COMMIT` */
  statementDone(tag: string): void {
    // The job's own BEGIN inside the guard's transaction takes that over.
    if (tag === 'BEGIN' || tag === 'START TRANSACTION') this.#isOwn = false;
    // There may be another one at once: COMMIT AND CHAIN.
    if (tag === 'COMMIT' || tag === 'ROLLBACK') this.#isFenced = false;
  }

  async #sendEach<Result>(statements: readonly string[], send: (statement: string) => Promise<Result>): Promise<Result[]> {
    const results: Result[] = [];
    try {
      for (const statement of statements) {
        await this.#fence(statement, statements.length === 1);
        results.push(await send(statement));
      }
    } catch (error) {
      this.#isStatusOld = true;
      // What went wrong first is what the job hears of.
      await this.#close().catch(ignore);
      throw error;
    }
    await this.#close();
    return results;
  }

  async #fence(statement: string, isAlone: boolean): Promise<void> {
    if (this.#isStatusOld) {
      await this.#guarded.ask(NOTHING);
      this.#isStatusOld = false;
    }
    const status = this.#guarded.getTransactionStatus();
    if (status === 'T' && !this.#isFenced && !CHARACTERISTICS.test(statement)) {
      await this.#guarded.ask(FENCE);
      this.#isFenced = true;
    }
    // In a transaction that failed, Postgres refuses all but its end.
    if (status !== 'I') return;
    this.#isFenced = false;
    if (BARE.test(statement) || (isAlone && this.reportedDefault === 'on' && PLAIN.test(statement))) return;
    await this.#guarded.ask(OPEN);
    this.#isFenced = true;
    this.#isOwn = true;
  }

  async #close(): Promise<void> {
    const isOpen = this.#isOwn && this.#guarded.getTransactionStatus() !== 'I';
    this.#isOwn = false;
    if (!isOpen) return;
    try {
      await this.#guarded.ask(CLOSE);
    } catch (error) {
      // Such as a cursor WITH HOLD, which is read now. The transaction is over all the same.
      this.#isStatusOld = true;
      throw error;
    }
  }
}

/**
 * Has `connection` send no text of several statements: the extended protocol, by which Postgres itself refuses them, takes
 * its place. COPY streams go as they are, since they hold one statement.
 */
export function sendOneStatementAtATime(connection: DriverConnection): void {
  const simpleQuery = connection.query.bind(connection);
  connection.query = (text) => {
    if (OURS.has(text) || isOneStatement(text)) return simpleQuery(text);
    connection.parse({ text, name: '' });
    connection.bind({});
    connection.describe({ type: 'P', name: '' });
    connection.execute({});
    connection.sync();
  };
}

const ignore = (): void => undefined;
