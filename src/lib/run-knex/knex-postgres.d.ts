/** What is used of knex's Postgres client, which has no types of its own. Read with knex 3.3.0, hence the exact version in package.json. */
declare module 'knex/lib/dialects/postgres/index.js' {
  import type { Transform } from 'node:stream';
  import type { Knex } from 'knex';

  export interface KnexPoolSettings {
    readonly create: () => Promise<unknown>;
    readonly validate: (connection: never) => Promise<boolean>;
  }

  export interface KnexQuery {
    readonly sql?: string;
    readonly bindings?: readonly unknown[];
    readonly options?: object;
    response?: unknown;
  }

  export default class PostgresClient extends Knex.Client {
    /** The setting of that name. */
    readonly searchPath?: unknown;
    transaction(container: unknown, config: unknown, outerTx: unknown): unknown;
    initializePool(config?: Knex.Config): void;
    getPoolSettings(config: Knex.PoolConfig | undefined): KnexPoolSettings;
    acquireConnection(): Promise<unknown>;
    releaseConnection(connection: unknown): Promise<void>;
    destroy(callback?: (error?: unknown) => void): Promise<void>;
    _acquireOnlyConnection(): Promise<unknown>;
    _query(connection: unknown, query: KnexQuery): Promise<KnexQuery>;
    _stream(connection: unknown, query: KnexQuery, stream: Transform, options: unknown): Promise<unknown>;
  }
}

/** What is used of knex's transactions: a savepoint is one whose client is a transaction's. */
declare module 'knex/lib/dialects/postgres/execution/pg-transaction.js' {
  export default class PostgresTransaction {
    constructor(client: unknown, container: unknown, config: unknown, outerTx: unknown);
    /** The client of this transaction alone. It hands out the one connection. */
    readonly trxClient: { acquireConnection: () => Promise<unknown> };
    _completed: boolean;
    /** They settle the transaction's promise. */
    _resolver(value: unknown): void;
    _rejecter(error: unknown): void;
    savepoint(connection: unknown): Promise<unknown>;
    release(connection: unknown, value: unknown): Promise<unknown>;
    rollbackTo(connection: unknown, error: unknown): Promise<unknown>;
  }
}
