import { spawn } from 'node:child_process';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../..');

/** Blocks its event loop under a watchdog of 300 ms. With `isFull`, its stdout is a pipe that is full beforehand. */
const script = (isFull: boolean) => `
  import { writeSync } from 'node:fs';
  import { startWatchdog } from './src/lib/watchdog.ts';
  startWatchdog({ limitMs: 300, describe: () => 'blocks 1', isStructured: false });
  setTimeout(() => {
    if (${isFull}) process.stdout.write('x'.repeat(60_000));
    if (${isFull}) writeSync(1, 'x'.repeat(5_000_000));
    for (;;);
  }, 1_000);
`;

function start(isFull = false) {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script(isFull)], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  return { child, ended };
}

describe('the watchdog', () => {
  it('says which runs were active, and ends a process whose event loop is blocked', async () => {
    const { child, ended } = start();
    let output = '';
    child.stdout.on('data', (part: Buffer) => (output += part.toString()));
    expect(await ended).toBe('SIGKILL');
    expect(output).toMatch(/ERROR \[watchdog\] The event loop was blocked for 0\.3 s: ending the process\. Active runs: blocks 1\n$/);
  });

  it('ends it also when nobody is there to read the line', async () => {
    const { child, ended } = start();
    child.stdout.destroy();
    expect(await ended).toBe('SIGKILL');
  });

  it('ends it also when the pipe is full, and so the line does not go out', async () => {
    const { child, ended } = start(true);
    child.stdout.pause();
    expect(await ended).toBe('SIGKILL');
  });
});
