import { existsSync } from 'node:fs';
import { mkdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientConfig } from 'pg';
import { findPostgres } from './embedded-postgres/binaries.js';
import { findPlace } from './embedded-postgres/find-place.js';
import { joinServer, type Place } from './embedded-postgres/join-server.js';
import { isRunning, processExists, readPostmaster } from './embedded-postgres/postmaster.js';
import { serverAccount } from './embedded-postgres/server-account.js';
import type { Cluster } from './embedded-postgres/start-server.js';
import { isHeld } from './embedded-postgres/users-fifo.js';

/** One use of a Postgres of our own. */
export interface EmbeddedPostgres {
  /** By a Unix socket that only this user can reach; the superuser `postgres`, in the database `postgres`. */
  readonly connection: ClientConfig;
  /** Ends this use. When it was the last, resolves once the server has stopped. Close your connections before. */
  readonly release: () => Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** The folder in which the cluster's own folder is, or comes to be: postgres-<major version>. */
  readonly dataFolder: string;
  /** name=value, each. They are for the server that is started here; one that already runs keeps its own. */
  readonly settings?: readonly string[];
}

/** ms between two looks at whether the server and its guard are there. */
const LOOK_INTERVAL = 2_000;

/** ms that the server may take to stop; after that it is left to do so alone. */
const STOP_LIMIT = 60_000;

/** ms between two looks, while the server should be stopping, at whether somebody is there to stop it. */
const GUARD_CHECK_INTERVAL = 1_000;

/**
 * A place among the users of the data folder's Postgres, which is started unless another process has done so. The server
 * stops soon after the last of its users has released it, or has died, however it died. While it is in use, a server
 * or a guard that died is started again within seconds. What it acknowledged is on the disk.
 * @throws {Error} saying what to do, when there are no binaries; with the server's own words, when it does not start
 */
export async function startEmbeddedPostgres({ dataFolder, settings = [] }: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findPostgres();
  await mkdir(dataFolder, { recursive: true });
  const name = `postgres-${binaries.major}`;
  const parent = await realpath(dataFolder);
  const folder = path.join(parent, name);
  const cluster: Cluster = {
    folder,
    binaries,
    account: await serverAccount(folder),
    isDurable: !settings.includes('fsync=off'),
    settings,
    logFile: path.join(parent, `${name}.log`),
  };
  return use(cluster, await findPlace(cluster));
}

function use(cluster: Cluster, first: Place): EmbeddedPostgres {
  let place = first;
  let look = Promise.resolve();
  let isLooking = false;

  const lookAfter = async () => {
    if (await isServed(cluster, place)) return;
    await stopIfCutOff(cluster, place);
    const next = await findPlace(cluster);
    place.hold.letGo();
    place = next;
  };
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    // Whoever queries hears of a server that does not start again; the next look tries once more.
    look = lookAfter().catch(() => undefined).finally(() => (isLooking = false));
  }, LOOK_INTERVAL).unref();

  const leaveOnce = async () => {
    clearInterval(timer);
    await look;
    await leave(cluster, place);
  };
  let left: Promise<void> | undefined;
  return { connection: first.connection, release: () => (left ??= leaveOnce()) };
}

/** Whether the server and its guard are still those of the place. */
async function isServed({ folder }: Cluster, { hold, pid }: Place): Promise<boolean> {
  return hold.isGood() && processExists(pid) && (await readPostmaster(folder))?.pid === pid;
}

/**
 * Somebody who clears all of /tmp takes away the server's socket, and nobody can reach it any more: it is to start again.
 * Only one of its users can tell; to others it may be in a /tmp that they do not see.
 */
async function stopIfCutOff({ folder }: Cluster, { pid, connection }: Place): Promise<void> {
  const server = await readPostmaster(folder);
  if (server?.pid === pid && server.status === 'ready' && !existsSync(connection.host!) && (await isRunning(folder, server))) process.kill(pid, 'SIGINT');
}

/** Lets go. Resolves at once where others use the server, or else when it has stopped. */
async function leave(cluster: Cluster, { hold, pid }: Place): Promise<void> {
  try {
    if (!hold.isGood()) await replaceGuard(cluster);
  } finally {
    hold.letGo();
  }
  let nextCheck = performance.now() + GUARD_CHECK_INTERVAL;
  for (const giveUpAt = performance.now() + STOP_LIMIT; performance.now() < giveUpAt; await delay(10)) {
    if (isHeld(hold.fifo) || !processExists(pid) || (await readPostmaster(cluster.folder))?.pid !== pid) return;
    if (performance.now() < nextCheck) continue;
    // A guard may have been killed between our last look at it and its own look at who is left.
    await replaceGuard(cluster);
    nextCheck = performance.now() + GUARD_CHECK_INTERVAL;
  }
}

/** Where a guard has died since the last look: the server is to stop with its last user all the same. */
async function replaceGuard(cluster: Cluster): Promise<void> {
  const place = await joinServer(cluster);
  if (typeof place !== 'string') place.hold.letGo();
}
