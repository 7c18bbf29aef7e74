import { createHash } from 'node:crypto';
import { chown, lstat, mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ServerAccount } from './server-account.js';

/** Bytes that a socket's path may have on macOS; Linux allows four more. */
const LONGEST_SOCKET_PATH = 103;

const SOCKET = '.s.PGSQL.5432';
const PREFIX = 'commons-postgres-';

/** Whether this may be a folder of ours, by its name. */
export const isSocketFolder = (folder: string): boolean => path.basename(folder).startsWith(PREFIX);

/**
 * Makes sure of the folder for the server's socket: short enough in name, one for each cluster and user, and nobody else's.
 * @throws {Error} when somebody else has made it, or opened it to others
 */
export async function openSocketFolder(cluster: string, account: ServerAccount): Promise<string> {
  const folder = socketFolderOf(cluster, account.uid);
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  if (process.getuid!() !== account.uid) await handOver(folder, account);
  await checkSocketFolder(folder, account);
  return folder;
}

/** Gives a folder that root has made, now or in a start that was killed before this line, to the server's account. */
async function handOver(folder: string, { uid, gid }: ServerAccount): Promise<void> {
  const stats = await lstat(folder);
  if (stats.isDirectory() && stats.uid === process.getuid!()) await chown(folder, uid, gid);
}

function socketFolderOf(cluster: string, uid: number): string {
  const name = `${PREFIX}${createHash('sha256').update(`${uid}:${cluster}`).digest('hex').slice(0, 16)}`;
  const fits = (folder: string) => Buffer.byteLength(path.join(folder, name, SOCKET)) <= LONGEST_SOCKET_PATH;
  // TMPDIR may be private to this process's user, when another is to run the server.
  const parent = path.resolve(os.tmpdir());
  return path.join(process.getuid!() === uid && fits(parent) ? parent : '/tmp', name);
}

/**
 * Anybody may make a folder in /tmp under the name that ours would have, and answer in our server's place.
 * @throws {Error} when the folder is not private to the server's account
 */
export async function checkSocketFolder(folder: string, account: ServerAccount): Promise<void> {
  const stats = await lstat(folder);
  if (stats.isDirectory() && stats.uid === account.uid && (stats.mode & 0o077) === 0) return;
  throw new Error(
    `${folder}, where the embedded Postgres has its socket, is not a folder private to user ${account.uid} ` +
      `(it belongs to user ${stats.uid}, mode ${(stats.mode & 0o7777).toString(8)}). Somebody else has made it: ` +
      'remove it, or set TMPDIR to another folder.',
  );
}
