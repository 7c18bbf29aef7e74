import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { listenForInterruption } from './lib/process/interruption.js';

// `npm run dev`: the service under `tsx watch`, which starts it anew when a file changes that is no job; a job that changes is
// taken up without that (--live).
const source = path.dirname(fileURLToPath(import.meta.url));
const jobs = path.join(source, 'jobs');

const watch = spawn(
  'tsx',
  ['watch', '--clear-screen=false', '--exclude', `${jobs}/*.ts`, '--include', `${jobs}/helpers.ts`, path.join(source, 'server.ts'), '--live'],
  {
    // A group of its own: a Ctrl-C reaches this process twice, from the terminal and from npm, and tsx kills what it watches
    // at the second one.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    // tsx waits 5 s for the service before it kills it.
    env: { SHUTDOWN_GRACE: '4s', ...process.env },
  },
);
watch.on('exit', (code) => process.exit(code ?? 1));
listenForInterruption({ onFirst: (signal) => watch.kill(signal), onSecond: () => watch.kill('SIGKILL') });
