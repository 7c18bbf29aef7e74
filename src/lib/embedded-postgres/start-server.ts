import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type DataFolder, prepareDataFolder } from './data-folder.js';
import { type GuardedServer, startGuarded } from './guard.js';
import { FIFO_SETTING, joinServer, type Place } from './join-server.js';
import { hintOf } from './server-account.js';
import { openServerLog, type ServerLog } from './server-log.js';
import { openSocketFolder } from './socket-folder.js';
import { newFifo, removeAbandonedFifos } from './users-fifo.js';

export interface Cluster extends DataFolder {
  /** name=value, for a server that this process starts. */
  readonly settings: readonly string[];
  /** What the server prints is added to it. */
  readonly logFile: string;
}

/**
 * Keep values of rows out of the server's log. Whoever caused an error is told of it in full, and the service logs it without
 * personal data; here it would stand in clear, since even the first line of an error may hold a value (22P02). `log` leaves
 * out errors and warnings of statements, and keeps what concerns the server. (https://www.postgresql.org/docs/current/runtime-config-logging.html)
 */
const LOG_SETTINGS = [
  'log_min_messages=log',
  'log_min_error_statement=panic',
  'log_error_verbosity=terse',
  'log_statement=none',
  'log_min_duration_statement=-1',
  'log_parameter_max_length=0',
  'log_parameter_max_length_on_error=0',
];

/** ms between two looks at a server that is starting. */
const PAUSE = 10;

/** Another process was faster; or the last server was killed, and one of its processes has not noticed yet. */
const PASSING = /lock file .* already exists|pre-existing shared memory block/;

/**
 * Starts the cluster's server.
 * @returns our place at it, or at the one that another process has started meanwhile; undefined: try again
 * @throws {Error} with the server's own words when it does not start
 */
export async function startServer(cluster: Cluster): Promise<Place | undefined> {
  await prepareDataFolder(cluster);
  const log = await openServerLog(cluster.logFile, cluster.account);
  try {
    const server = await spawnServer(cluster, log);
    if (!server) return undefined;
    const place = await joinWhileItRuns(cluster, server);
    if (place) return place;
    const words = server.end?.error?.message ?? (await log.added());
    if (PASSING.test(words)) return undefined;
    throw new Error(`The embedded Postgres in ${cluster.folder} did not start:\n${words.trim()}${hintOf(cluster.account)}`);
  } finally {
    await log.close();
  }
}

/** The parameters' lengths are settings since Postgres 13; before it, parameters of a statement that failed were not logged. */
const logSettings = (major: number): string[] => LOG_SETTINGS.filter((setting) => major >= 13 || !setting.startsWith('log_parameter'));

async function spawnServer(cluster: Cluster, log: ServerLog): Promise<GuardedServer | undefined> {
  const { folder, binaries, account, settings } = cluster;
  const socketFolder = await openSocketFolder(folder, account);
  removeAbandonedFifos(socketFolder);
  const fifo = newFifo(socketFolder);
  const all = ['listen_addresses=', `unix_socket_directories=${socketFolder}`, 'unix_socket_permissions=0700', `${FIFO_SETTING}=${fifo}`, ...logSettings(binaries.major), ...settings];
  const command = [binaries.postgres, '-D', folder, '-p', '5432', ...all.flatMap((setting) => ['-c', setting])];
  try {
    return await startGuarded(fifo, account, command, log.descriptor);
  } catch (error) {
    // The guard of the server before has just removed the folder, which it does last; or another start, our new FIFO.
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (!existsSync(socketFolder) || (code === 'ENOENT' && syscall === 'open')) return undefined;
    throw error;
  }
}

async function joinWhileItRuns(cluster: Cluster, server: GuardedServer): Promise<Place | undefined> {
  try {
    while (!server.end) {
      const place = await joinServer(cluster);
      if (typeof place !== 'string') return place;
      await delay(PAUSE);
    }
    return undefined;
  } finally {
    // The place has a hold of its own.
    server.hold.letGo();
  }
}
