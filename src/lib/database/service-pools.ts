import pg from 'pg';
import { connectionSettings, onDatabaseClose } from './database.js';
import { envConfig } from '../env-config.js';
import { runOutsideScope } from '../run-scope.js';
import { spoilsConnection } from '../errors/postgres-fault.js';

export interface Statement {
  text: string;
  values: unknown[];
  /** Prepared once a connection under this name. */
  name?: string;
  /** ms; default: the pool's. */
  query_timeout?: number;
}

/** A pool of the service's own, apart from the jobs': runs are recorded even when jobs hold every connection of theirs. */
interface ServicePool {
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<pg.QueryResult<Row>>;
}

function servicePool(options: () => pg.PoolConfig): ServicePool {
  let opened: Promise<pg.Pool> | undefined;

  async function open(): Promise<pg.Pool> {
    const pool = new pg.Pool({
      ...(await connectionSettings()),
      connectionTimeoutMillis: envConfig().databaseAcquireTimeout,
      ...options(),
    });
    // A broken connection is replaced at its next use, and a query that was on it rejects. Without a listener, the error that
    // it emits besides would end the process: the pool's is for idle ones, the client's own for one between two queries.
    pool.on('error', ignore);
    pool.on('connect', (client) => client.on('error', ignore));
    onDatabaseClose(async () => {
      opened = undefined;
      await pool.end();
    });
    return pool;
  }

  return {
    async query<Row extends pg.QueryResultRow>(statement: Statement) {
      // A pool and its sockets outlive the run in which they are opened.
      opened ??= runOutsideScope(open).catch((error: unknown) => {
        opened = undefined;
        throw error;
      });
      const pool = await opened;
      const client = await runOutsideScope(() => pool.connect());
      let fault: unknown;
      try {
        return await client.query<Row>(statement);
      } catch (error) {
        fault = error;
        throw error;
      } finally {
        client.release(fault !== undefined && spoilsConnection(fault));
      }
    },
  };
}

const ignore = (): void => undefined;

const recording = (max: number, lockTimeout: string): pg.PoolConfig => ({
  max,
  application_name: 'commons-recorder',
  query_timeout: 10_000,
  // Without these the batched UPDATE ... FROM unnest() is planned as a join over the whole table until it was analysed.
  // And one row that somebody locks must not keep the outcomes of all others waiting.
  options: `-c enable_hashjoin=off -c enable_mergejoin=off -c lock_timeout=${lockTimeout}`,
});

/**
 * Runs' starts, outcomes and leases. Small: one statement carries all the runs that wait. It waits for a lock for a moment only: of a statement
 * that cannot have one row, each row is tried by itself, and the others behind it wait for all of that.
 */
export const recorderPool = servicePool(() => recording(4, '250ms'));

/** Claims that may wait for what another transaction holds. However many of them wait, outcomes and leases have their own connections. */
export const claimPool = servicePool(() => recording(2, '1s'));

/** What runs say of themselves, their log lines and failed items: a table that somebody locks must keep no outcome and no lease waiting. */
export const logPool = servicePool(() => ({ max: 2, application_name: 'commons-log', query_timeout: 10_000, options: '-c lock_timeout=1s' }));

/** What people read: a slow search must keep no outcome waiting. */
export const readPool = servicePool(() => ({ max: 3, application_name: 'commons-reader', statement_timeout: 15_000 }));
