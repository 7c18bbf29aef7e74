import type { Readable, Transform } from 'node:stream';
import createKnex, { type Knex } from 'knex';
import PostgresClient, { type KnexPoolSettings, type KnexQuery } from 'knex/lib/dialects/postgres/index.js';
import type { ClientConfig } from 'pg';
import { currentDatabase, outsideRuns } from './current-database.js';
import { RunConnection } from './run-connection.js';
import type { RunDatabase } from './run-database.js';

type Pool = InstanceType<typeof createKnex.KnexPool<RunConnection>>;

/**
 * knex's Postgres client, which gives every connection to the run that asks for it. Dry runs get theirs from a second pool,
 * whose connections Postgres itself holds to reading. Outside runs it is the ordinary client.
 *
 * No private fields: knex makes clients of transactions by Object.create(prototype).
 */
export class RunClient extends PostgresClient {
  declare pool: Pool | undefined;
  declare readOnlyPool: Pool | undefined;
  declare isReadOnly: boolean | undefined;

  override initializePool(config: Knex.Config = this.config): void {
    super.initializePool(config);
    const settings = readOnlyView(this).getPoolSettings({ ...config.pool, min: 0 });
    this.readOnlyPool = new createKnex.KnexPool<RunConnection>(settings as never);
  }

  override getPoolSettings(config: Knex.PoolConfig | undefined): KnexPoolSettings {
    const settings = super.getPoolSettings(config);
    return {
      ...settings,
      create: () => outsideRuns(settings.create),
      validate: async (connection: RunConnection) => !connection.isSpent && settings.validate(connection as never),
    };
  }

  /** Opens a connection: for a pool, or for a job that asks for one of its own by acquireRawConnection(). */
  override async _acquireOnlyConnection(): Promise<RunConnection> {
    const database = currentDatabase();
    database?.open();
    const settings = (this.connectionSettings ?? (await this.connectionConfigProvider?.())) as ClientConfig;
    const connection = new RunConnection(settings, this.isReadOnly ?? database?.isDryRun ?? false);
    connection.on('error', (error: Error) => dispose(connection, error));
    connection.on('end', () => {
      dispose(connection, 'Connection ended');
      connection.run?.letGo(connection);
    });
    await connection.connect();
    if (connection.isReadOnly) await connection.requireReadOnly();
    const refusal = database?.refusal;
    if (refusal) {
      await connection.end();
      throw refusal;
    }
    if (database) bind(connection, database);
    return connection;
  }

  override async acquireConnection(): Promise<unknown> {
    const database = currentDatabase();
    const pool = database?.isDryRun ? this.readOnlyPool : this.pool;
    if (!database || !pool) return super.acquireConnection();
    database.open();
    let connection: RunConnection;
    try {
      connection = await database.waitFor(pool.acquire());
    } catch (error) {
      throw database.refusal ?? acquireError(error);
    }
    const { refusal } = database;
    if (refusal) {
      pool.release(connection);
      throw refusal;
    }
    connection.giveBack = () => this.releaseConnection(connection);
    bind(connection, database);
    return connection;
  }

  override async releaseConnection(connection: RunConnection): Promise<void> {
    if (connection.getTransactionStatus() !== 'I') connection.isSpent = true;
    connection.run?.letGo(connection);
    // One that is spent stays bound, so that a late query of the run is told why it is refused.
    if (connection.isSpent) connection.end().catch(ignore);
    else connection.run = undefined;
    (connection.isReadOnly ? this.readOnlyPool : this.pool)?.release(connection);
  }

  /** As knex does it, but without binding the callback to its context: a promise needs none of that. */
  override _query(connection: unknown, query: KnexQuery): Promise<KnexQuery> {
    if (!(connection instanceof RunConnection)) return super._query(connection, query);
    const { sql, bindings = [], options } = query;
    if (!sql) throw new Error('The query is empty');
    return new Promise((resolve, reject) => {
      connection.send({ text: sql, values: bindings as unknown[], ...options }, (error, response) => {
        if (error) return reject(error);
        query.response = response;
        resolve(query);
      });
    });
  }

  /**
   * knex 3.3 releases a stream's connection when this settles, and again when the stream closes. With a slow reader and a full
   * pool it is somebody else's by then: two runs share one connection, and one's ROLLBACK takes the other's rows. So its
   * listener goes, and this settles once the server is done with the cursor, even when the stream was left early.
   */
  override _stream(connection: unknown, query: KnexQuery, stream: Transform, options: unknown): Promise<unknown> {
    // Nobody reads it any more, and it will not close again.
    if (stream.destroyed) return Promise.resolve();
    const release = stream.listeners('close')[0];
    if (release) stream.off('close', release as () => void);
    const closed = new Promise((resolve) => stream.once('pipe', (cursor: Readable) => cursor.once('close', resolve)));
    return Promise.race([super._stream(connection, query, stream, options), closed]);
  }

  override async destroy(callback?: (error?: unknown) => void): Promise<void> {
    await this.readOnlyPool?.destroy();
    this.readOnlyPool = undefined;
    return super.destroy(callback);
  }
}

function bind(connection: RunConnection, run: RunDatabase): void {
  connection.run = run;
  run.hold(connection);
}

/** The client as the read-only pool sees it. What is learned of the server, it learns for both. */
const readOnlyView = (client: RunClient): RunClient =>
  Object.create(client, {
    isReadOnly: { value: true },
    connectionSettings: {
      get: () => client.connectionSettings,
      set(settings: object) {
        client.connectionSettings = settings;
      },
    },
  }) as RunClient;

/** knex looks here before it hands out a connection. */
const dispose = (connection: RunConnection, reason: unknown): void => void Object.assign(connection, { __knex__disposed: reason });

/** What knex makes of a pool that stayed full. */
function acquireError(error: unknown): unknown {
  if (!(error instanceof Error) || error.constructor.name !== 'TimeoutError') return error;
  const message = 'Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?';
  return Object.assign(new createKnex.KnexTimeoutError(message), { cause: error });
}

const ignore = (): void => undefined;
