import { existsSync } from 'node:fs';
import pg from 'pg';
import type { ClientConfig } from 'pg';
import type { DataFolder } from './data-folder.js';
import { guardAgain } from './guard.js';
import { isRunning, type Postmaster, readPostmaster } from './postmaster.js';
import { checkSocketFolder, isSocketFolder } from './socket-folder.js';
import { type Hold, takeHold } from './users-fifo.js';

/** A place among the users of a running server. */
export interface Place {
  /** The server's process. */
  readonly pid: number;
  readonly hold: Hold;
  readonly connection: ClientConfig;
}

/** The setting by which a server names the FIFO of its users. */
export const FIFO_SETTING = 'commons.users';

/**
 * A place at the server that runs on the cluster, or why there is none just now. A server without a guard gets one.
 * @throws {Error} when that server is none of ours, or its socket is in somebody else's hands
 */
export async function joinServer(cluster: DataFolder): Promise<Place | string> {
  const postmaster = await readPostmaster(cluster.folder);
  if (!postmaster) return 'it does not run';
  const { pid, status } = postmaster;
  if (status !== 'ready') return `process ${pid} is ${status || 'starting'}`;

  const answer = await usersOf(cluster, postmaster);
  if ('fault' in answer) return answer.fault;
  const hold = takeHold(answer.fifo);
  if (hold === 'leaving') return `process ${pid} is stopping`;
  return hold === 'unguarded' ? guardServer(cluster, postmaster, answer.fifo) : { pid, hold, connection: connectionTo(postmaster) };
}

async function guardServer(cluster: DataFolder, postmaster: Postmaster, fifo: string): Promise<Place | string> {
  const { pid } = postmaster;
  const hold = await guardAgain(fifo, cluster.account, pid);
  // A server that has ended since we asked it took its guard and its FIFO along, too.
  if ('fifo' in (await usersOf(cluster, postmaster))) return { pid, hold, connection: connectionTo(postmaster) };
  hold.letGo();
  return `process ${pid} has ended`;
}

/** The FIFO that the server names, or the fault that keeps it from answering. */
async function usersOf({ folder, account }: DataFolder, postmaster: Postmaster): Promise<{ fifo: string } | { fault: string }> {
  const { pid, socketFolder } = postmaster;
  if (!isSocketFolder(socketFolder)) {
    if (!(await isRunning(folder, postmaster))) return { fault: `process ${pid} has ended` };
    throw new Error(`A Postgres that the service has not started (process ${pid}) runs on ${folder}: stop it, or set DATABASE_URL to its address.`);
  }
  if (!existsSync(socketFolder)) return { fault: `process ${pid} has its socket in ${socketFolder}, which is not there` };
  await checkSocketFolder(socketFolder, account);
  const answer = await ask(connectionTo(postmaster), `select current_setting('${FIFO_SETTING}') as answer`);
  if (answer instanceof Error) return { fault: `process ${pid} does not answer on ${socketFolder}: ${answer.message}` };
  return { fifo: answer };
}

const connectionTo = ({ socketFolder, port }: Postmaster): ClientConfig => ({
  host: socketFolder,
  port,
  user: 'postgres',
  database: 'postgres',
  // Whatever PGSSLMODE says: there is none on a Unix socket.
  ssl: false,
});

async function ask(connection: ClientConfig, query: string): Promise<string | Error> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<{ answer: string }>(query)).rows[0]!.answer;
  } catch (error) {
    return error as Error;
  } finally {
    await client.end().catch(() => undefined);
  }
}
