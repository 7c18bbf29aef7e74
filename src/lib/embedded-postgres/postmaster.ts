import { execFile } from 'node:child_process';
import { link, readFile, readlink, realpath, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What postmaster.pid says of the server that runs, or ran, on a cluster. (Postgres: src/include/utils/pidfile.h) */
export interface Postmaster {
  readonly pid: number;
  /** Empty as long as the server has none. */
  readonly socketFolder: string;
  readonly port: number;
  /** 'starting', 'stopping', 'ready' or 'standby'; empty at the very beginning. */
  readonly status: string;
  /** The file's whole text. */
  readonly text: string;
}

const lockFile = (cluster: string) => path.join(cluster, 'postmaster.pid');

/** The server that runs on the cluster, or that left its file behind when it was killed. */
export async function readPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const text = await readFile(lockFile(cluster), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const [pid, , , port, socketFolder, , , status] = text.split('\n');
  // A server in single-user mode writes its id with a minus.
  const number = Math.abs(Number(pid));
  return number ? { pid: number, port: Number(port), socketFolder: socketFolder ?? '', status: status?.trim() ?? '', text } : undefined;
}

export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether the server still runs, and the number is not another process's by now. In doubt it does. */
export async function isRunning(cluster: string, { pid }: Postmaster): Promise<boolean> {
  if (!processExists(pid)) return false;
  // A server's working folder is its cluster.
  const home = await readlink(`/proc/${pid}/cwd`).catch(({ code }: NodeJS.ErrnoException) => code);
  if (home === 'ENOENT' && process.platform === 'linux') return false; // ended, and nobody has reaped it
  if (home?.startsWith('/')) return home === (await realpath(cluster));
  const command = await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).catch(() => undefined);
  return command === undefined || /postgres|postmaster/.test(command.stdout);
}

/**
 * Removes the file of a server that is gone while an unrelated process has its number, which Postgres itself, knowing only
 * numbers, takes for a running server. (Where no process has it, Postgres removes the file.)
 */
export async function removeStaleLock(cluster: string, { pid, text }: Postmaster): Promise<void> {
  if (!processExists(pid)) return;
  const aside = `${lockFile(cluster)}.stale-${process.pid}`;
  try {
    await rename(lockFile(cluster), aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  // Another process may have removed the stale one and started a server since we looked: that server gets its file back.
  if ((await readFile(aside, 'utf8')) !== text) await link(aside, lockFile(cluster));
  await rm(aside);
}
