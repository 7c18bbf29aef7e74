import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, lstat, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinaries } from './binaries.js';
import { processExists } from './postmaster.js';
import { hintOf, type ServerAccount, underAccount } from './server-account.js';

const run = promisify(execFile);

export interface DataFolder {
  /** The cluster's own folder, absolute. */
  readonly folder: string;
  readonly binaries: PostgresBinaries;
  readonly account: ServerAccount;
  /** False where the server will run with fsync off anyway. */
  readonly isDurable: boolean;
}

/**
 * Sees to it that the folder is a whole cluster which the server's account owns. A folder comes into being whole or not at
 * all; one that is not whole was damaged since, and is set aside with a warning, never deleted.
 */
export async function prepareDataFolder(data: DataFolder): Promise<void> {
  await removeAbandoned(path.dirname(data.folder));
  if (!(await isWhole(data.folder))) {
    await setAside(data.folder);
    await initialise(data);
  }
  await giveTo(data.account, data.folder);
}

async function isWhole(folder: string): Promise<boolean> {
  try {
    const files = await Promise.all(['PG_VERSION', 'global/pg_control'].map((file) => stat(path.join(folder, file))));
    return files.every(({ size }) => size > 0);
  } catch (error) {
    // Only what is certainly missing makes it incomplete.
    if (['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code))) return false;
    throw error;
  }
}

async function setAside(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    const aside = `${folder}.damaged-${new Date().toISOString().replace(/\W/g, '')}`;
    await rename(folder, aside);
    process.emitWarning(`${folder} was not a whole database: it is now ${aside}, and a new one takes its place.`);
  }
}

/** A name that tells which process is at work on it, so that others know when it was abandoned. */
const temporaryName = (folder: string) => `${folder}.init-${process.pid}-${randomBytes(4).toString('hex')}`;
const TEMPORARY = /^postgres-\d+\.init-(\d+)-/;

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = TEMPORARY.exec(name)?.[1];
    if (pid === undefined || processExists(Number(pid))) continue;
    // Its initdb may still be writing for a moment. What cannot be removed now is left to the next start.
    await rm(path.join(parent, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
  }
}

async function initialise(data: DataFolder): Promise<void> {
  const temporary = temporaryName(data.folder);
  await mkdir(temporary, { mode: 0o700 });
  try {
    await giveTo(data.account, temporary);
    await runInitdb(temporary, data);
    await rename(temporary, data.folder);
    if (data.isDurable) await syncFolder(path.dirname(data.folder));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
    // Another process was faster; its cluster is as good as ours.
    if (!['ENOTEMPTY', 'EEXIST'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
  }
}

async function runInitdb(folder: string, { binaries, account, isDurable }: DataFolder): Promise<void> {
  const options = ['-D', folder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', ...localeOptions(binaries.major)];
  const { program, args, options: spawnOptions } = underAccount(account, binaries.initdb, isDurable ? options : [...options, '--no-sync']);
  try {
    await run(program, args, spawnOptions);
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Error(`initdb failed:\n${stderr?.trim() || message}${hintOf(account)}`, { cause: error });
  }
}

/** Text sorts by code point, the same on every machine, and upper and lower case are Unicode's. */
function localeOptions(major: number): string[] {
  if (major >= 17) return ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  return [process.platform === 'linux' ? '--locale=C.UTF-8' : '--locale=C'];
}

/** Where root starts the server under an account that does not own the folder yet. */
async function giveTo({ uid, gid }: ServerAccount, folder: string): Promise<void> {
  if (process.getuid!() !== 0 || (await lstat(folder)).uid === uid) return;
  // The folder itself last: its owner tells that all is done.
  await run('chown', ['-R', `${uid}:${gid}`, ...(await readdir(folder)).map((name) => path.join(folder, name)), folder]);
  await chown(folder, uid, gid);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
