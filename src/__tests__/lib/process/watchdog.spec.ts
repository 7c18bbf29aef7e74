import { spawn } from 'node:child_process';
import { buildRoot, builtScript } from '../../helpers/built-program.js';

/** Blocks its event loop under a watchdog of 300 ms. With `isFull`, its stdout is a pipe that is full beforehand. */
const script = (isFull: boolean, runs: string, isStructured: boolean) => `
  import { writeSync } from 'node:fs';
  import { startWatchdog } from '@commons/backend/lib/process/watchdog.js';
  import { RunBoard } from '@commons/backend/lib/process/run-board.js';
  const board = new RunBoard();
  startWatchdog({ limitMs: 300, board, isStructured: ${isStructured} });
  setTimeout(() => {
    if (${isFull}) process.stdout.write('x'.repeat(60_000));
    if (${isFull}) writeSync(1, 'x'.repeat(5_000_000));
    ${runs}
    for (;;);
  }, 1_000);
`;

function start({ isFull = false, runs = '', isStructured = false } = {}) {
  const child = spawn(process.execPath, builtScript(script(isFull, runs, isStructured)), { cwd: buildRoot(), stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
  return { child, ended };
}

describe('the watchdog', () => {
  it('says which runs were active, and ends a process whose event loop is blocked', async () => {
    const { child, ended } = start({ runs: `
      const gone = { id: '2', jobName: 'has-ended' };
      board.add({ id: '1', jobName: 'blocks' });
      board.add(gone);
      board.remove(gone);
      board.starting = 3;` });
    let output = '';
    child.stdout.on('data', (part: Buffer) => (output += part.toString()));
    expect(await ended).toBe('SIGKILL');
    expect(output).toMatch(/ERROR \[watchdog\] The event loop was blocked for 0\.3 s: ending the process\. Active runs: blocks 1; 3 starting {"activeRuns":\[{"runId":"1","jobName":"blocks"}\],"notListed":0,"starting":3}\n$/);
  });

  it('lists over a thousand of them in one line of JSON, counts the rest, and keeps names on their line', async () => {
    const { child, ended } = start({ isStructured: true, runs: `
      const runs = Array.from({ length: 1_500 }, (_, n) => ({ id: String(n), jobName: n === 0 ? 'odd\\nname ' + 'ä'.repeat(500) : 'job' }));
      for (const run of runs) board.add(run);
      for (const run of runs.slice(1_400)) board.remove(run);
      for (const run of runs.slice(1, 24)) board.remove(run);` });
    let output = '';
    child.stdout.on('data', (part: Buffer) => (output += part.toString()));
    expect(await ended).toBe('SIGKILL');
    expect(output.trimEnd().split('\n')).toHaveLength(1);
    const line = JSON.parse(output) as { message: string; data: { activeRuns: { runId: string; jobName: string }[]; notListed: number } };
    expect(line).toMatchObject({ severity: 'CRITICAL', 'logging.googleapis.com/labels': { tag: 'watchdog' }, data: { notListed: 376, starting: 0 } });
    expect(line.data.activeRuns).toHaveLength(1_001);
    expect(line.data.activeRuns[0]).toEqual({ runId: '0', jobName: expect.stringMatching(/^odd\\nname ä{50,100}$/) });
    expect(line.message).toMatch(/ and 1367 more$/);
  });

  it('ends it also when nobody is there to read the line', async () => {
    const { child, ended } = start();
    child.stdout.destroy();
    expect(await ended).toBe('SIGKILL');
  });

  it('ends it also when the pipe is full, and so the line does not go out', async () => {
    const { child, ended } = start({ isFull: true });
    child.stdout.pause();
    expect(await ended).toBe('SIGKILL');
  });
});
