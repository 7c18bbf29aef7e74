import type { Readable, Transform } from 'node:stream';
import createKnex, { type Knex } from 'knex';
import PostgresClient, { type KnexPoolSettings, type KnexQuery } from 'knex/lib/dialects/postgres/index.js';
import type { ClientConfig } from 'pg';
import { currentDatabase, outsideRuns } from './current-database.js';
import { LazySavepoint, type RunTransactionConfig } from './lazy-savepoint.js';
import { refuseInRuns } from './refuse-in-runs.js';
import { RunConnection } from './run-connection.js';
import type { RunDatabase } from './run-database.js';
import { RunPool } from './run-pool.js';

/**
 * knex's Postgres client, which gives every connection to the run that asks for it. Dry runs get theirs from a second pool,
 * whose connections Postgres itself holds to reading. Outside runs it is the ordinary client.
 *
 * No private fields: knex makes clients of transactions by Object.create(prototype).
 */
export class RunClient extends PostgresClient {
  declare pool: RunPool | undefined;
  declare readOnlyPool: RunPool | undefined;
  declare isReadOnly: boolean | undefined;
  /** It was made outside runs, so that it outlives each of them. Not enumerable: what knex makes of it for a run is not shared. */
  declare isShared: boolean | undefined;

  override initializePool(config: Knex.Config = this.config): void {
    if (this.isShared) refuseInRuns('call knex.initialize()', 'Leave the call out: the pool is there.');
    // knex then says that there is a pool already.
    if (this.pool) return super.initializePool(config);
    const isShared = !currentDatabase();
    Object.defineProperty(this, 'isShared', { value: isShared, configurable: true });
    this.pool = new RunPool(this.getPoolSettings(config.pool), isShared);
    this.readOnlyPool = new RunPool(readOnlyView(this).getPoolSettings({ ...config.pool, min: 0 }), isShared);
  }

  override transaction(container: unknown, config: RunTransactionConfig | undefined, outerTx: unknown): unknown {
    return outerTx && config?.isLazy ? new LazySavepoint(this, container, config, outerTx) : super.transaction(container, config, outerTx);
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
    connection.hasSetUp = Boolean(this.searchPath ?? this.config.pool?.afterCreate);
    connection.on('error', (error: Error) => dispose(connection, error));
    connection.on('end', () => {
      dispose(connection, 'Connection ended');
      connection.lose();
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
    database?.open();
    for (;;) {
      const connection = await (database ? acquireFor(this, database) : (super.acquireConnection() as Promise<RunConnection>));
      const isReady = await ready(connection, database);
      const refusal = database?.refusal;
      if (isReady && !refusal) {
        connection.isHeldOutside = !database;
        if (!database) return connection;
        connection.giveBack = () => takeBack(this, connection);
        bind(connection, database);
        return connection;
      }
      poolOf(this, connection)?.release(connection);
      if (refusal) throw refusal;
    }
  }

  /** One that was given back before is somebody else's by now. */
  override async releaseConnection(connection: RunConnection): Promise<void> {
    if (connection.isHeldByCaller()) await takeBack(this, connection);
  }

  /** Does what knex does, but does not bind the callback to its context, which a promise does not need. */
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

const poolOf = (client: RunClient, { isReadOnly }: { readonly isReadOnly: boolean }): RunPool | undefined => (isReadOnly ? client.readOnlyPool : client.pool);

async function takeBack(client: RunClient, connection: RunConnection): Promise<void> {
  // Otherwise the guard's own transaction around a dry run's statement would be taken for one that was left open.
  if (connection.isReadOnly) await connection.settled();
  if (connection.getTransactionStatus() !== 'I') connection.isSpent = true;
  connection.isHeldOutside = false;
  connection.run?.letGo(connection);
  // A connection that is used up stays bound to its run, so that a late query of the run is told why it is refused.
  if (connection.isSpent) connection.end().catch(ignore);
  else connection.run = undefined;
  poolOf(client, connection)?.release(connection);
}

async function acquireFor(client: RunClient, database: RunDatabase): Promise<RunConnection> {
  const pool = poolOf(client, { isReadOnly: database.isDryRun });
  if (!pool) throw new Error('Unable to acquire a connection: the pool was closed (knex.destroy()).');
  try {
    return await database.waitFor(pool.acquireFor(database));
  } catch (error) {
    throw database.refusal ?? acquireError(error);
  }
}

/** @returns false when the connection is no good; it was closed, and there will be others */
function ready(connection: RunConnection, user: RunDatabase | undefined): Promise<boolean> {
  if (connection.hasSetUp && connection.needsResetFor(user)) connection.isSpent = true;
  return connection.readyFor(user);
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
