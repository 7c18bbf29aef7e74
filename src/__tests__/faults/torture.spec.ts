import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { buildRoot } from '../helpers/built-program.js';

it('holds what `npm run torture` holds, at a smaller size: forged tokens, fuzzed names, hostile bodies, large bodies at once, canaries, slow sockets', async () => {
  // A server of its own, as the script has it; nothing of this spec's database.
  const { DATABASE_URL: _, ...env } = process.env;
  const run = promisify(execFile)(process.execPath, ['-C', 'dist', '--import', 'tsx', 'bench/torture.ts', '--quick', '--seed', '7'], { cwd: buildRoot(), env, maxBuffer: 16_777_216 });
  // A bound that is missed is exit code 1, and the table says which.
  const { stdout } = await run.catch((error: { stdout?: string; stderr?: string }) => { throw new Error(`${error.stdout}\n${error.stderr}`); });
  expect(stdout.match(/ reached$/gm)!.length).toBeGreaterThanOrEqual(40);
  expect(stdout).not.toContain('MISSED');
}, 600_000);
