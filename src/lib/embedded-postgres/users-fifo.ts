import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, constants, existsSync, openSync, readdirSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { ServerAccount } from './server-account.js';

// The server's users are those who have its FIFO open for writing. The kernel keeps that list, so it is right however a
// process ends. The guard (guard.ts) is the reader; while it makes sure that nobody is left, the FIFO's name is *.shut.

const run = promisify(execFile);
const { O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
const PREFIX = 'users-';

/** One user's hold on a guarded server. */
export interface Hold {
  readonly fifo: string;
  /** False when the guard has died, or the server has. */
  isGood(): boolean;
  letGo(): void;
}

const holdOf = (fifo: string, write: number): Hold => ({
  fifo,
  // The line also keeps the FIFO young: there are programs that remove from /tmp what was not touched for days.
  isGood: () => writeLine(write) && existsSync(fifo),
  letGo: () => closeSync(write),
});

function writeLine(write: number): boolean {
  try {
    writeSync(write, '\n');
    return true;
  } catch (error) {
    // EPIPE: nobody reads it. When it is full the guard is stopped, but not dead.
    return (error as NodeJS.ErrnoException).code === 'EAGAIN';
  }
}

/** A name of its own for each server, so that no guard ever watches the users of another one. */
export const newFifo = (folder: string): string => path.join(folder, `${PREFIX}${process.pid}-${randomBytes(4).toString('hex')}`);

/** Opens both ends of the FIFO, which is made unless it is there: a hold, and the reading end for a guard to come. */
export async function openBothEnds(fifo: string, { uid, gid }: ServerAccount): Promise<{ hold: Hold; read: number }> {
  if (!existsSync(fifo)) await run('mkfifo', ['-m', '600', fifo]);
  chownSync(fifo, uid, gid);
  // To open one end is to wait for somebody at the other, unless told not to wait. The guard's end must wait for data, so
  // it is opened last, when the others are there.
  const opener = openSync(fifo, O_RDONLY | O_NONBLOCK);
  const write = openSync(fifo, O_WRONLY | O_NONBLOCK);
  const read = openSync(fifo, O_RDONLY);
  closeSync(opener);
  return { hold: holdOf(fifo, write), read };
}

/**
 * A hold on the server of that FIFO. 'leaving' when it is about to stop, or has stopped: look again in a moment.
 * 'unguarded' when nobody reads the FIFO.
 */
export function takeHold(fifo: string): Hold | 'leaving' | 'unguarded' {
  const write = openEnd(fifo, O_WRONLY);
  if (typeof write === 'number') {
    const hold = holdOf(fifo, write);
    // The line that this writes tells a guard that has just seen the last user go.
    if (hold.isGood()) return hold;
    hold.letGo();
    return 'leaving';
  }
  if (write === 'ENXIO') return 'unguarded';
  // The door is shut: the server goes, or the door opens again, unless the guard died at that very point.
  const shut = openEnd(`${fifo}.shut`, O_WRONLY);
  if (typeof shut === 'number') closeSync(shut);
  else if (shut === 'ENXIO') renameSync(`${fifo}.shut`, fifo);
  return shut === 'ENXIO' || (shut === 'ENOENT' && !existsSync(fifo)) ? 'unguarded' : 'leaving';
}

/** Whether anybody has a hold: behind what was written comes the end exactly when nobody has the FIFO open for writing. */
export function isHeld(fifo: string): boolean {
  const read = openEnd(fifo, O_RDONLY);
  if (typeof read !== 'number') return false;
  try {
    // The lines that we take from the guard here are made good by the next ones: see isGood().
    while (readSync(read, Buffer.alloc(64)) > 0);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return true;
    throw error;
  } finally {
    closeSync(read);
  }
}

/** Removes the FIFOs of guards that were killed and so could not. For a start, when no server runs. */
export function removeAbandonedFifos(folder: string): void {
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith(PREFIX))) {
    const write = openEnd(path.join(folder, name), O_WRONLY);
    if (typeof write === 'number') closeSync(write);
    else rmSync(path.join(folder, name), { force: true });
  }
}

/** The open end, or why there is none: ENOENT, no such FIFO; ENXIO, nobody reads it. */
function openEnd(fifo: string, way: number): number | 'ENOENT' | 'ENXIO' {
  try {
    return openSync(fifo, way | O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENXIO') return code;
    throw error;
  }
}
