import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { programOver } from './built-program.js';
import { waitUntil } from './wait-until.js';

const ROOT = path.resolve(__dirname, '../../..');
const FIXTURE_JOBS = path.resolve(__dirname, '../fixtures/jobs');

/** The real service in a process of its own. */
export interface ServiceProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** All that it has printed. */
  output(): string;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
}

const running = new Set<ChildProcess>();

/**
 * Starts the service over JOBS_FOLDER, by default the fixture jobs, on a free port. Resolves when it listens, and is ready
 * unless told otherwise.
 */
export async function startServiceProcess(env: NodeJS.ProcessEnv = {}, { untilReady = true, arguments: args = [] }: { untilReady?: boolean; arguments?: string[] } = {}): Promise<ServiceProcess> {
  const program = programOver(env.JOBS_FOLDER ?? FIXTURE_JOBS, 'src/server.ts', ...args);
  const child = spawn(process.execPath, program.args, {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', LOG_LEVEL: 'debug', NO_COLOR: '1', ...env, JOBS_FOLDER: program.jobsFolder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (output += part.toString()));
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, signal) => {
      running.delete(child);
      resolve(code ?? signal!);
    });
  });
  const isGone = () => child.exitCode !== null || child.signalCode !== null;
  const url = await waitUntil('the service listens', () => {
    if (isGone()) throw new Error(`the service ended:\n${output}`);
    return /Listening on (http:[^\s"]+)/.exec(output)?.[1];
  });
  if (untilReady) await waitUntil('the service is ready', async () => (await fetch(`${url}/readyz`)).status === 200);
  return { url, child, exited, output: () => output };
}

/** Ends, by kill -9, whatever a test has left running. */
export async function killServiceProcesses(): Promise<void> {
  await Promise.all([...running].map((child) => new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill('SIGKILL');
  })));
}

/**
 * POSTs JSON to a job of the service. The answer has arrived whole: one of which nobody reads the end would hold its connection
 * for good, and with it the worker that Jest wants to end.
 */
export async function callJob(service: ServiceProcess, slug: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Response> {
  const answer = await fetch(`${service.url}/jobs/${slug}`, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
  const bytes = await answer.arrayBuffer();
  return new Response(bytes.byteLength === 0 ? null : bytes, { status: answer.status, statusText: answer.statusText, headers: answer.headers });
}
