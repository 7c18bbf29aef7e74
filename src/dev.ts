import { spawn } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EnvConfigError } from './lib/env-config.js';
import { loadEnvFile } from './lib/process/env-file.js';
import { listenForInterruption } from './lib/process/interruption.js';
import { listen } from './lib/process/listen.js';

// `npm run dev`: the service under `tsx watch`, which starts it anew when a file that it imports changes, or a migration. A job that
// changes is taken up without that (--live).
const source = path.dirname(fileURLToPath(import.meta.url));
const jobs = path.join(source, 'jobs');

// The service reads .env at each start, so that a value that was changed there counts.
const environment = { ...process.env };

/** tsx would wait for a file to change, and say nothing, after a service that cannot listen. @throws {EnvConfigError} */
async function requirePort(): Promise<void> {
  loadEnvFile();
  const server = http.createServer();
  await listen(server);
  await new Promise((resolve) => void server.close(resolve));
}

function watch(): void {
  const tsx = fileURLToPath(import.meta.resolve('tsx/cli'));
  const watched = ['--exclude', `${jobs}/*.ts`, '--include', `${jobs}/helpers.ts`, '--include', `${source}/models/migrations/*.ts`];
  const service = spawn(process.execPath, [tsx, 'watch', '--clear-screen=false', ...watched, path.join(source, 'server.ts'), '--live'], {
    // A group of its own: a Ctrl-C reaches this process twice, from the terminal and from npm, and tsx kills what it watches
    // at the second one.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    // tsx waits 5 s for the service before it kills it.
    env: { SHUTDOWN_GRACE: '4s', ...environment },
  });
  service.on('exit', (code) => process.exit(code ?? 1));
  listenForInterruption({ onFirst: (signal) => service.kill(signal), onSecond: () => service.kill('SIGKILL') });
}

requirePort().then(watch, (error: unknown) => {
  console.error(error instanceof EnvConfigError ? error.message : error);
  process.exit(1);
});
