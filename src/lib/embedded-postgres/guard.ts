import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type ServerAccount, underAccount } from './server-account.js';
import { type Hold, openBothEnds } from './users-fifo.js';

/**
 * The guard reads the FIFO of the server's users, meets its end when the last of them is gone, and stops the server.
 * It is two shells: one that does so, and the one that started the server, waits for it, and clears up.
 *
 *   $1  the FIFO, which is also open as descriptor 3
 *   $2  the process id of a server that has lost its guard; or '' to start one, by the command that follows
 */
const GUARD = `
fifo=$1 server=$2
shift 2
if [ -z "$server" ]; then started=yes; "$@" 3<&- & server=$!; fi
exec >/dev/null 2>&1
trap '' HUP INT TERM # only now: what the shell ignores, the server would

guard() {
  while
    while read -r line; do :; done                # until nobody has a hold
    mv "$fifo" "$fifo.shut" || is_orphan || exit  # now nobody can come in
    read -r line                                  # somebody came in just before that
  do
    mv "$fifo.shut" "$fifo"
  done
  # Again and again, since a server that is just starting does not heed it; but not for ever, since a server that has
  # ended can be signalled until somebody reaps it.
  tries=100
  while [ $((tries -= 1)) -gt 0 ] && kill -INT "$server"; do sleep 0.1; done
  clear_up
}

# Where the FIFO is gone, the server is: but for somebody who removed all of /tmp, and then the other shell still waits.
is_orphan() {
  [ "$started" ] && kill -0 $$
}

clear_up() {
  rm -f "$fifo" "$fifo.shut"
  rmdir "\${fifo%/*}"
}

if [ "$started" ]; then
  guard <&3 &
  exec 3<&-
  wait "$server"
  clear_up
else
  guard <&3
fi
`;

/** A server that this process has started, and its own hold on it. */
export interface GuardedServer {
  readonly hold: Hold;
  /** Set once the server has ended, or could not be started at all. */
  readonly end: { readonly error?: Error } | undefined;
}

/** Starts a guard, and by it a server. Our hold is taken before, so that there is no moment in which nobody minds it. */
export async function startGuarded(fifo: string, account: ServerAccount, command: readonly string[], log: number): Promise<GuardedServer> {
  const { hold, read } = await openBothEnds(fifo, account);
  const guard = spawnGuard([fifo, '', ...command], account, ['ignore', 'pipe', log, read]);
  closeSync(read);
  const server: { hold: Hold; end: GuardedServer['end'] } = { hold, end: undefined };
  guard.once('error', (error) => (server.end ??= { error }));
  // The guard has let go of this pipe; it is the server that keeps it open.
  const output = guard.stdout as Socket;
  output.once('close', () => (server.end ??= {})).resume().unref();
  return server;
}

/** Gives a new guard to a server that has lost its own. The users it has keep their holds, for the FIFO stays the same. */
export async function guardAgain(fifo: string, account: ServerAccount, pid: number): Promise<Hold> {
  const { hold, read } = await openBothEnds(fifo, account);
  spawnGuard([fifo, String(pid)], account, ['ignore', 'ignore', 'ignore', read]).once('error', () => undefined);
  closeSync(read);
  return hold;
}

function spawnGuard(args: readonly string[], account: ServerAccount, stdio: ('ignore' | 'pipe' | number)[]) {
  const { program, args: all, options } = underAccount(account, '/bin/sh', ['-c', GUARD, 'commons-postgres-guard', ...args]);
  // In a session of its own, where Ctrl-C and a closing terminal do not reach it.
  const guard = spawn(program, all, { ...options, detached: true, stdio });
  guard.unref();
  return guard;
}
