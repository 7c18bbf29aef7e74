import { open } from 'node:fs/promises';
import type { ServerAccount } from './server-account.js';

/** Bytes above which a start empties the log. */
const LIMIT = 10_000_000;

/** Bytes of it that go into an error's message. */
const QUOTED = 8_000;

/** The file to which the server prints, opened for one start. A file and not a pipe, since the server may outlive us. */
export interface ServerLog {
  readonly descriptor: number;
  /** The end of what was added since it was opened. */
  added(): Promise<string>;
  close(): Promise<void>;
}

/** Nobody but the server's account may read it: what a server prints may hold values of rows. */
const MODE = 0o600;

export async function openServerLog(name: string, { uid, gid }: ServerAccount): Promise<ServerLog> {
  const file = await open(name, 'a+', MODE);
  // Also where the file is older, or the umask stranger.
  await file.chmod(MODE);
  if (process.getuid!() !== uid) await file.chown(uid, gid);
  if ((await file.stat()).size > LIMIT) await file.truncate();
  const { size: start } = await file.stat();
  return {
    descriptor: file.fd,
    async added() {
      const { size } = await file.stat();
      const from = Math.max(start, size - QUOTED);
      const { buffer } = await file.read(Buffer.alloc(Math.max(0, size - from)), { position: from });
      return buffer.toString();
    },
    close: () => file.close(),
  };
}
