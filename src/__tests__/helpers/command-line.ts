import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { built, builtProgram } from './built-program.js';

const ROOT = path.resolve(__dirname, '../../..');
const JOBS = path.join(ROOT, 'src/__tests__/fixtures/jobs');
const running = new Set<ChildProcess>();

export interface EndedCommand {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the real command line in a process of its own, without a terminal, over the fixture jobs and this spec's database. */
export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): { readonly child: ChildProcess; readonly ended: Promise<EndedCommand> } {
  const child = spawn(process.execPath, builtProgram('src/cli.ts', ...args), {
    cwd: ROOT,
    env: { ...process.env, JOBS_FOLDER: built(JOBS), LOG_LEVEL: 'error', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
  const ended = new Promise<EndedCommand>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, ...text });
    });
  });
  return { child, ended };
}

/** Ends, by kill -9, whatever a test has left running. */
export function killCommands(): void {
  for (const child of running) child.kill('SIGKILL');
}
