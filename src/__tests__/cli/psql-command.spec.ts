import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../../..');
/** As a client of PostgreSQL would be found; it prints what it was given. */
const STAND_IN = '#!/bin/sh\nprintf "%s\\n" "$@" "password=$PGPASSWORD"\n[ "$1" = -d ] || ls "$2/.s.PGSQL.$4"\nexit 3\n';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'psql-spec-'));
  writeFileSync(path.join(folder, 'psql'), STAND_IN);
  chmodSync(path.join(folder, 'psql'), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The real command line in a process of its own. */
function job(args: string[], env: NodeJS.ProcessEnv): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...args], {
    cwd: ROOT, env: { ...process.env, LOG_LEVEL: 'error', NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...text })));
}

/** The spec's own database, with a password that its server does not ask for. */
function withPassword(): { shown: string; given: string } {
  const url = new URL(process.env.DATABASE_URL!);
  const shown = url.href;
  url.searchParams.set('password', "secret 'word'");
  return { shown, given: url.href };
}

describe('psql', () => {
  it('is opened on the database, with the arguments for it, its exit code, and the password out of the list of processes', async () => {
    const { shown, given } = withPassword();
    const ended = await job(['psql', '-c', 'select 1'], { DATABASE_URL: given, PATH: `${folder}:${process.env.PATH}` });
    expect(ended).toEqual({ code: 3, stderr: '', stdout: `-d\n${shown}\n-c\nselect 1\npassword=secret 'word'\n` });
  });

  it('is opened on the embedded database, which runs meanwhile', async () => {
    const ended = await job(['psql'], { DATABASE_URL: '', DATA_FOLDER: path.join(folder, 'data'), PATH: `${folder}:${process.env.PATH}` });
    expect(ended).toMatchObject({ code: 3, stderr: '' });
    expect(ended.stdout).toMatch(/^-h\n(\S+)\n-p\n5432\n-U\npostgres\n-d\npostgres\npassword=\n\1\/\.s\.PGSQL\.5432\n$/);
  });

  it('is told how to connect, without the password, where it is not installed', async () => {
    const { given } = withPassword();
    const ended = await job(['psql'], { DATABASE_URL: given, PATH: '/nowhere' });
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/^psql -d '?postgres:\S+\n$/);
    expect(ended.stdout + ended.stderr).not.toContain('secret');
    expect(ended.stderr).toBe('error: psql is not installed here. Install the client of PostgreSQL, or give that line to one that is.\n');
  });
});
