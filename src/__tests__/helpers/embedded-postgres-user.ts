import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { builtProgram } from './built-program.js';

const ROOT = path.resolve(__dirname, '../../..');

interface Answer {
  readonly rows?: unknown[][];
  readonly error?: string;
  /** The folder of the server's socket. */
  readonly host?: string;
  readonly startedInMs?: number;
  readonly released?: boolean;
}

const running = new Set<ChildProcess>();

/** A process that uses the embedded Postgres of a data folder. */
export class EmbeddedPostgresUser {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(dataFolder: string, { settings = [], ...options }: { settings?: string[]; env?: NodeJS.ProcessEnv; uid?: number; gid?: number } = {}) {
    const args = builtProgram('src/__tests__/fixtures/embedded-postgres-user.ts', dataFolder, ...settings);
    const child = spawn(process.execPath, args, { ...options, cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
    // A process that was killed takes no more questions; the answer says so.
    child.stdin.on('error', () => undefined);
    running.add(child.once('exit', () => running.delete(child)));
    this.child = child;
    this.#lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Its next answer; the first comes when the server has been started, or has not. An empty one when the process ended. */
  async answer(): Promise<Answer> {
    const { value, done } = (await this.#lines.next()) as IteratorResult<string>;
    return done ? {} : (JSON.parse(value) as Answer);
  }

  query(text: string): Promise<Answer> {
    this.child.stdin!.write(`${text}\n`);
    return this.answer();
  }

  release = (): Promise<Answer> => this.query('release');

  /** Ends it by kill -9, in whatever it does. */
  kill(): Promise<unknown> {
    if (!running.has(this.child)) return Promise.resolve();
    const ended = new Promise((resolve) => void this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    return ended;
  }
}

/** Ends, by kill -9, whatever a test has left running. */
export async function killEmbeddedPostgresUsers(): Promise<void> {
  for (const child of running) child.kill('SIGKILL');
  await Promise.all([...running].map((child) => new Promise((resolve) => void child.once('exit', resolve))));
}
