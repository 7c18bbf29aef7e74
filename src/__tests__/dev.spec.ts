import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import knex from '@commons/backend/lib/knex.js';
import { waitUntil } from './helpers/wait-until.js';

const ROOT = path.resolve(__dirname, '../..');
const running = new Set<ChildProcess>();
let checkout: string;

/** A checkout of its own, in which files may be added. */
beforeAll(() => {
  checkout = realpathSync(mkdtempSync(path.join(tmpdir(), 'dev-spec-')));
  for (const file of ['package.json', 'tsconfig.json']) cpSync(path.join(ROOT, file), path.join(checkout, file));
  cpSync(path.join(ROOT, 'src'), path.join(checkout, 'src'), { recursive: true, filter: (file) => !file.includes('__tests__') });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(checkout, 'node_modules'));
});
afterEach(async () => {
  await Promise.all([...running].map((child) => new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill('SIGTERM');
  })));
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

/** `npm run dev`, in that checkout. */
function startDev(env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/dev.ts'], {
    cwd: checkout, env: { ...process.env, LOG_LEVEL: 'info', NO_COLOR: '1', SHUTDOWN_GRACE: '1s', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (output += part.toString()));
  const exited = new Promise<number | null>((resolve) => void child.once('exit', (code) => {
    running.delete(child);
    resolve(code);
  }));
  return { output: () => output, exited };
}

const starts = (output: string) => output.split('[server] Ready').length - 1;

describe('npm run dev', () => {
  it('runs a new migration file without being told, and starts anew for one that is edited', async () => {
    const dev = startDev({ PORT: '0' });
    await waitUntil('it is ready', () => starts(dev.output()) === 1);
    const file = path.join(checkout, 'src/models/migrations/20300101000000_make_leaf.ts');
    const migration = (name: string) => `import type { Knex } from 'knex';\nexport const up = (knex: Knex) => knex.raw('create table ${name} (id int)');\nexport const down = (knex: Knex) => knex.raw('drop table ${name}');\n`;
    writeFileSync(file, migration('leaf'));
    await waitUntil('it is migrated', () => knex.schema.hasTable('leaf'));
    await waitUntil('it is ready again', () => starts(dev.output()) === 2);
    writeFileSync(file, migration('other_leaf'));
    await waitUntil('it is ready once more', () => starts(dev.output()) === 3);
  });

  it('on a port that is in use says so, and ends', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as net.AddressInfo;
    const dev = startDev({ PORT: String(port) });
    expect(await dev.exited).toBe(1);
    expect(dev.output()).toBe(`PORT: 127.0.0.1:${port} is in use. End what listens there, or set PORT to another one.\n`);
    other.close();
  });

  it('says which variable of the environment is wrong, and ends', async () => {
    const dev = startDev({ PORT: 'many' });
    expect(await dev.exited).toBe(1);
    expect(dev.output()).toContain("PORT: 'many' is no whole number");
  });
});
