import { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findPostgres, type Machine } from '@commons/backend/lib/embedded-postgres/binaries.js';
import { makeLibraryLinks } from '@commons/backend/lib/embedded-postgres/library-links.js';

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'embedded-postgres-binaries-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that prints the text, or fails with it. */
function program(name: string, text: string, status = 0): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho '${text}' >&${status === 0 ? 1 : 2}\nexit ${status}\n`, { mode: 0o755 });
  return file;
}

/** A machine with nothing on it. */
const machine = (parts: Partial<Machine> = {}): Machine => ({
  platform: 'linux',
  arch: 'riscv64',
  path: '',
  importPackage: async () => {
    throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
  },
  ...parts,
});

describe('the search for Postgres', () => {
  it('says what it looked for and what to do where there is none', async () => {
    await expect(findPostgres(machine())).rejects.toThrow(
      /There is no Postgres to start:\n.*@embedded-postgres\/linux-riscv64 is not installed\n.*no folder of PATH has both `postgres` and `initdb`[^]*Set DATABASE_URL=postgres:[^]*or install Postgres/,
    );
  });

  it('does not look on Windows', async () => {
    const importPackage = jest.fn();
    await expect(findPostgres(machine({ platform: 'win32', importPackage }))).rejects.toThrow(/does not run on Windows[^]*Set DATABASE_URL=/);
    expect(importPackage).not.toHaveBeenCalled();
  });

  it('takes the npm package first', async () => {
    const postgres = program('native/bin/postgres', 'postgres (PostgreSQL) 18.4');
    const importPackage = jest.fn().mockResolvedValue({ postgres, initdb: 'initdb' });
    await expect(findPostgres(machine({ importPackage }))).resolves.toEqual({ postgres, initdb: 'initdb', major: 18 });
    expect(importPackage).toHaveBeenCalledWith('@embedded-postgres/linux-riscv64');
  });

  it('falls back to PATH where the package is there and cannot run, as on Alpine', async () => {
    const postgres = program('bin/postgres', 'postgres (PostgreSQL) 17beta1');
    const initdb = program('bin/initdb', '');
    // A program for another C library: its loader does not exist.
    const importPackage = async () => ({ postgres: path.join(folder, 'native/bin/postgres'), initdb: '' });
    const found = await findPostgres(machine({ importPackage, path: `${folder}${path.delimiter}${path.dirname(postgres)}` }));
    expect(found).toEqual({ postgres, initdb, major: 17 });
  });

  it('asks pg_config where PATH has only that', async () => {
    const postgres = program('lib/postgres', 'postgres (PostgreSQL) 15.18 (Debian 15.18-0)');
    const initdb = program('lib/initdb', '');
    program('bin/pg_config', path.dirname(postgres));
    await expect(findPostgres(machine({ path: path.join(folder, 'bin') }))).resolves.toEqual({ postgres, initdb, major: 15 });
  });

  it('passes on why a program does not run', async () => {
    program('bin/postgres', 'libicu: cannot open shared object file', 127);
    program('bin/initdb', '');
    await expect(findPostgres(machine({ path: path.join(folder, 'bin') }))).rejects.toThrow(/bin\/postgres does not run here: libicu: cannot open/);
  });
});

describe('the links between the libraries', () => {
  const LINK = { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' };
  beforeEach(() => {
    mkdirSync(path.join(folder, 'native'));
    writeFileSync(path.join(folder, 'native/pg-symlinks.json'), JSON.stringify([LINK]));
  });

  it('are made by any number of processes at once', async () => {
    mkdirSync(path.join(folder, 'native/lib'));
    writeFileSync(path.join(folder, LINK.source), '');
    await Promise.all([makeLibraryLinks(folder), makeLibraryLinks(folder), makeLibraryLinks(folder)]);
    expect(readlinkSync(path.join(folder, LINK.target))).toBe('libpq.so.5.18');
    expect(existsSync(path.join(folder, LINK.target))).toBe(true);
    await makeLibraryLinks(folder);
  });

  it('that are missing and cannot be made say what to do', async () => {
    writeFileSync(path.join(folder, 'native/lib'), 'a file, in which nobody can make a link');
    await expect(makeLibraryLinks(folder)).rejects.toThrow(/libpq\.so\.5 cannot be written \(ENOTDIR\).*node scripts\/hydrate-symlinks\.js/);
  });
});
