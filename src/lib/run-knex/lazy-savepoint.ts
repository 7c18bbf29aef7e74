import type { Knex } from 'knex';
import PostgresTransaction from 'knex/lib/dialects/postgres/execution/pg-transaction.js';

/** What `trx.transaction(work, config)` takes beside knex's own. */
export interface RunTransactionConfig extends Knex.TransactionConfig {
  /** A savepoint is sent together with the first statement inside it. One in which nothing is done costs no round trip. */
  readonly isLazy?: boolean;
}

/** A savepoint that the server hears of only when something is done inside it. In all else it is knex's own. */
export class LazySavepoint extends PostgresTransaction {
  #sent: Promise<unknown> | undefined;

  /** Every statement, stream and inner savepoint asks for the connection first, and gets it once this one is there. */
  override async savepoint(connection: unknown): Promise<void> {
    const { trxClient } = this;
    const { acquireConnection } = trxClient;
    trxClient.acquireConnection = async () => {
      await (this.#sent ??= super.savepoint(connection));
      return acquireConnection();
    };
  }

  override release(connection: unknown, value: unknown): Promise<unknown> {
    if (this.#sent) return super.release(connection, value);
    this._completed = true;
    this._resolver(value);
    return Promise.resolve();
  }

  override rollbackTo(connection: unknown, error: unknown): Promise<unknown> {
    if (this.#sent) return super.rollbackTo(connection, error);
    this._completed = true;
    // As knex does it: without an error it was asked for, and is no failure.
    if (error === undefined) this._resolver(undefined);
    else this._rejecter(error);
    return Promise.resolve();
  }
}
