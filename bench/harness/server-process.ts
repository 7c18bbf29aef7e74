import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { inProject } from './paths.js';

export interface ServerCommand {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Where it runs. Ours reads a .env there, so it is a folder that has none. */
  readonly cwd: string;
  /** Gets all that it prints; else only the last of it is kept, for error messages. */
  readonly onOutput?: ((text: Buffer) => void) | undefined;
}

/** A server that was spawned, and may not listen yet. */
export interface LaunchedServer {
  readonly pid: number;
  /** Its address, and ms from the spawn to the line that says so. Rejects when it ends before. */
  readonly listening: Promise<{ readonly url: string; readonly ms: number }>;
  /** ms from the spawn to the line that says that the database is reached. Rejects when it ends before. */
  readonly ready: Promise<number>;
  /** With SIGTERM. Resolves when the process has ended; rejects when it did not end as asked. */
  stop(): Promise<void>;
  /** With SIGKILL, which no process can do anything about. */
  kill(): Promise<void>;
}

/** A server that listens. */
export interface ServerProcess extends Pick<LaunchedServer, 'pid' | 'ready' | 'stop' | 'kill'> {
  readonly url: string;
  readonly listeningMs: number;
}

/** `npm start`'s own command and defaults; `dataFolder` must be there. */
export const ours = (dataFolder: string, jobsFolder: string, nodeArgs: readonly string[] = []): ServerCommand => ({
  args: [...nodeArgs, '--enable-source-maps', '-C', 'dist', inProject('dist/server.js')],
  env: { DATA_FOLDER: dataFolder, JOBS_FOLDER: jobsFolder },
  cwd: dataFolder,
});

const LISTENING = /Listening on http:\/\/[^\s:]+:(\d+)/;
const READY = /\bReady\b/;
const PATIENCE_MS = 60_000;

/** Spawns a server on a free port. Nothing of the caller's environment reaches it but PATH and HOME. */
export function launchServer({ args, env = {}, cwd, onOutput }: ServerCommand): LaunchedServer {
  const spawned = performance.now();
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH, HOME, NODE_ENV: 'production', PORT: '0', ...env },
  });
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);

  let output = '';
  const outputs = [child.stdout, child.stderr];
  for (const stream of outputs) stream.on('data', (text: Buffer) => void (output = (output + text.toString()).slice(-20_000)));
  if (onOutput) for (const stream of outputs) stream.on('data', onOutput);

  /** The first line that fits, and ms from the spawn to it. Whoever does not ask for it is not troubled by its failure. */
  const said = (pattern: RegExp) => {
    const line = new Promise<{ match: RegExpExecArray; ms: number }>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(output);
        if (!match) return;
        for (const stream of outputs) stream.off('data', look);
        resolve({ match, ms: performance.now() - spawned });
      };
      for (const stream of outputs) stream.on('data', look);
      void ended.then((how) => reject(new Error(`the server ended (${how}) before it said ${pattern}:\n${output}`)));
      setTimeout(() => reject(new Error(`the server did not say ${pattern} within ${PATIENCE_MS} ms:\n${output}`)), PATIENCE_MS).unref();
    });
    line.catch(() => undefined);
    return line;
  };
  const quiet = <T>(promise: Promise<T>) => {
    promise.catch(() => undefined);
    return promise;
  };

  return {
    pid: child.pid!,
    listening: quiet(said(LISTENING).then(({ match, ms }) => ({ url: `http://127.0.0.1:${match[1]}`, ms }))),
    ready: quiet(said(READY).then(({ ms }) => ms)),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
      const how = await ended;
      clearTimeout(timer);
      if (how !== 0 && how !== 'SIGTERM') throw new Error(`the server ended with ${how} after SIGTERM:\n${output}`);
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Spawns a server and waits until it listens. */
export async function startServer(command: ServerCommand): Promise<ServerProcess> {
  const server = launchServer(command);
  try {
    const { url, ms } = await server.listening;
    return { ...server, url, listeningMs: ms };
  } catch (error) {
    await server.kill();
    throw error;
  }
}
