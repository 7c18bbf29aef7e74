import { execFile } from 'node:child_process';
import { lstat } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Who the server runs as. Postgres refuses to run as root. */
export interface ServerAccount {
  /** Owns all that the server writes, as seen from this process. */
  readonly uid: number;
  readonly gid: number;
  /** Put before a command, they run it under the account... */
  readonly wrapper: readonly string[];
  /** ...together with these options of spawn(). */
  readonly spawnOptions: { readonly uid?: number; readonly gid?: number };
}

/**
 * The account for a cluster: our own, unless we are root. Root becomes whoever owns the cluster; where that is root or
 * nobody yet, it goes into a user namespace, where it keeps its rights to its own files and yet is not root to Postgres;
 * where that is forbidden (Docker's default, macOS), it becomes `nobody`.
 * @throws {Error} saying what to do, when the cluster is another user's
 */
export async function serverAccount(cluster: string): Promise<ServerAccount> {
  const [uid, gid] = [process.getuid!(), process.getgid!()];
  const owner = await lstat(cluster).catch(() => undefined);
  if (uid !== 0) {
    if (owner && owner.uid !== uid) throw new Error(othersCluster(cluster, owner.uid, uid));
    return { uid, gid, wrapper: [], spawnOptions: {} };
  }
  if (owner && owner.uid !== 0) return become(owner.uid, owner.gid);
  if (await mayUnshare()) return { uid, gid, wrapper: ['unshare', '-U'], spawnOptions: {} };
  return become(await idOfNobody('-u'), await idOfNobody('-g'));
}

const othersCluster = (cluster: string, owner: number, uid: number) =>
  `${cluster} belongs to user ${owner}, and this process runs as user ${uid}: start it as that user, give the folder to ` +
  'this one, or set DATA_FOLDER to another place.';

const become = (uid: number, gid: number): ServerAccount => ({ uid, gid, wrapper: [], spawnOptions: { uid, gid } });

const mayUnshare = (): Promise<boolean> =>
  run('unshare', ['-U', 'true']).then(
    () => true,
    () => false,
  );

const idOfNobody = async (which: '-u' | '-g'): Promise<number> => Number((await run('id', [which, 'nobody'])).stdout);

/** How to spawn a program under the account. */
export function underAccount(account: ServerAccount, command: string, args: readonly string[]) {
  const [program, ...rest] = [...account.wrapper, command, ...args] as [string, ...string[]];
  // Postgres would take PGDATA, PGPORT and their like for settings, and a translated message could not be recognised.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')));
  return { program, args: rest, options: { ...account.spawnOptions, cwd: '/', env: { ...env, LC_ALL: 'C' } } };
}

/** Added to the message of a program that failed under another account. */
export const hintOf = ({ spawnOptions }: ServerAccount): string =>
  spawnOptions.uid === undefined
    ? ''
    : `\n(Postgres refuses to run as root, so it ran as user ${spawnOptions.uid}, who must be able to reach the folder and the program.)`;
