// Starts the production build on an embedded Postgres of its own, runs a real job over HTTP, looks at its run, and stops it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

// Without `-C dist` the jobs would import the sources: that is said at once.
for (const file of ['dist/server.js', 'dist/cli.js']) {
  const { status, stderr } = spawnSync(process.execPath, [file, ...(file.endsWith('cli.js') ? ['list'] : [])], { encoding: 'utf8' });
  assert.equal(status, 1, stderr);
  assert.match(stderr, new RegExp(`Type:\\n  node -C dist ${file}`));
}

const dataFolder = await mkdtemp(path.join(tmpdir(), 'commons-smoke-'));
const service = spawn(process.execPath, ['--enable-source-maps', '-C', 'dist', 'dist/server.js'], {
  env: { ...process.env, DATABASE_URL: '', PORT: '0', DATA_FOLDER: dataFolder },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let output = '';
service.stdout.on('data', (part) => (output += part));
const exited = new Promise((resolve) => service.once('exit', (code, signal) => resolve(code ?? signal)));

async function until(what, probe) {
  for (const end = Date.now() + 60_000; Date.now() < end; await delay(100)) {
    const value = await probe();
    if (value) return value;
  }
  throw new Error(`waited in vain until ${what}:\n${output}`);
}

try {
  const url = await until('it listens', () => /Listening on (http:\S+)/.exec(output)?.[1]);
  await until('it is ready', async () => (await fetch(`${url}/readyz`)).status === 200);
  const answer = await fetch(`${url}/jobs/cache-zip-codes`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
  const result = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(result));
  assert.equal(result.processed, 41_490);
  const run = await (await fetch(new URL(answer.headers.get('location'), url))).json();
  assert.equal(run.status, 'succeeded');
  console.log(`cache-zip-codes: ${JSON.stringify(result)}`);
  service.kill('SIGTERM');
  assert.equal(await exited, 0);
} finally {
  service.kill('SIGKILL');
  await exited;
  await rm(dataFolder, { recursive: true, force: true });
}
