import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { processExists, readPostmaster } from '@commons/backend/lib/embedded-postgres/postmaster.js';
import { openSocketFolder } from '@commons/backend/lib/embedded-postgres/socket-folder.js';
import { isHeld } from '@commons/backend/lib/embedded-postgres/users-fifo.js';
import { EmbeddedPostgresUser, killEmbeddedPostgresUsers } from '../helpers/embedded-postgres-user.js';
import { waitUntil } from '../helpers/wait-until.js';

const NOBODY = 65_534;
const isRoot = process.getuid!() === 0;

const temporary = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'embedded-postgres-spec-')));
// The server's account has to reach it, and that may be another than ours.
chmodSync(temporary, 0o755);

/** A new data folder. */
function newFolder(name: string): string {
  const folder = path.join(temporary, name);
  mkdirSync(folder);
  return folder;
}

/** One that most tests take in turn, so that only the first waits for initdb. */
const shared = newFolder('shared');

const clusterIn = (folder: string) => {
  const name = readdirSync(folder).find((entry) => /^postgres-\d+$/.test(entry));
  return name && path.join(folder, name);
};

async function serverPid(folder: string): Promise<number> {
  const postmaster = await readPostmaster(clusterIn(folder)!);
  return postmaster!.pid;
}

/** The processes whose command line has the text in it. (A guard has its server's command line in its own.) */
function pidsOf(text: string): number[] {
  if (!existsSync('/proc/self/cmdline')) return spawnSync('pgrep', ['-f', text], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean).map(Number);
  const commandOf = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return ''; // it has just ended
    }
  };
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(text)).map(Number);
}

const guardsOf = (host: string | undefined) => pidsOf(`commons-postgres-guard ${host}/`);
const serversOf = (folder: string) => pidsOf(`postgres -D ${folder}/`);
const untilGone = (folder: string) => waitUntil('the server is gone', () => serversOf(folder).length === 0);
const kill = (pids: number[]) => pids.forEach((pid) => process.kill(pid, 'SIGKILL'));

/** A user of the folder's server, once it has its place. */
async function startUser(folder = shared, options: ConstructorParameters<typeof EmbeddedPostgresUser>[1] = {}) {
  const user = new EmbeddedPostgresUser(folder, options);
  const { host, error } = await user.answer();
  expect(error).toBeUndefined();
  return { query: (text: string) => user.query(text), release: () => user.release(), kill: () => user.kill(), host: host! };
}

const ADD_ROW = 'create table if not exists kept (id serial primary key); insert into kept default values';
const COUNT = 'select count(*)::int from kept';
const countIn = async (user: { query: EmbeddedPostgresUser['query'] }) => (await user.query(COUNT)).rows?.[0]?.[0] as number | undefined;

afterEach(async () => {
  await killEmbeddedPostgresUsers();
  await untilGone(temporary);
});

afterAll(() => rmSync(temporary, { recursive: true, force: true }));

describe('the embedded Postgres', () => {
  it('starts from nothing, leaves nothing behind but its data, and starts from that', async () => {
    const first = await startUser();
    await first.query(ADD_ROW);
    expect(await countIn(first)).toBe(1);
    expect(await first.release()).toEqual({ released: true });
    expect(existsSync(path.join(clusterIn(shared)!, 'postmaster.pid'))).toBe(false);
    await untilGone(shared);
    await waitUntil('the folder of the socket is gone', () => !existsSync(first.host));

    const second = await startUser();
    expect(second.host).toBe(first.host);
    expect(await countIn(second)).toBe(1);
  });

  it('is durable, knows Unicode, and is reached by a private socket alone', async () => {
    const user = await startUser();
    const setting = async (name: string) => (await user.query(`show ${name}`)).rows?.[0]?.[0];
    expect(await setting('fsync')).toBe('on');
    expect(await setting('synchronous_commit')).toBe('on');
    expect(await setting('full_page_writes')).toBe('on');
    expect(await setting('listen_addresses')).toBe('');
    expect(await user.query(`select lower('ÄÖ')`)).toEqual({ rows: [['äö']] });
    expect(statSync(user.host).mode & 0o777).toBe(0o700);
  });

  it('keeps values of rows out of its log, whatever fails, and its files to itself', async () => {
    const folder = newFolder('private');
    await (await startUser(folder)).release();
    const log = `${clusterIn(folder)}.log`;
    // As an older release left it.
    chmodSync(log, 0o644);
    const before = readFileSync(log, 'utf8').length;
    const user = await startUser(folder);
    await user.query('create table person (email text unique, age int check (age < 150))');
    const CANARY = 'jane.canary@example.com';
    for (const [statement, reason] of [
      [`insert into person values ('${CANARY}'), ('${CANARY}')`, /duplicate key/],
      [`insert into person values ('${CANARY}', 200)`, /violates check/],
      [`insert into person values ('x', '${CANARY}')`, /invalid input syntax for type integer: "jane\.canary/],
      [`select '${CANARY}' from nowhere`, /does not exist/],
      [`do $$ begin raise exception '%', '${CANARY}'; end $$`, /jane\.canary/],
      [`do $$ begin raise warning '%', '${CANARY}'; end $$`, undefined],
      [`select '${CANARY}', pg_sleep(0.1)`, undefined],
    ] as const) {
      const { error } = await user.query(statement);
      if (reason) expect(error).toMatch(reason);
      else expect(error).toBeUndefined();
    }
    await user.release();
    const text = readFileSync(log, 'utf8');
    // It still says what concerns the server.
    expect(text.slice(before)).toMatch(/LOG: .*database system is ready/);
    expect(text).not.toContain('canary');
    expect(readdirSync(folder).filter((name) => (statSync(path.join(folder, name)).mode & 0o077) !== 0)).toEqual([]);
    expect(readdirSync(folder)).toContain(path.basename(log));
  });

  it('is shared by processes that start at once, and outlives those that are killed', async () => {
    const folder = newFolder('at-once');
    const [one, two] = await Promise.all([startUser(folder), startUser(folder)]);
    const three = await startUser(folder);
    await one.query(ADD_ROW);
    expect([await countIn(one), await countIn(two), await countIn(three)]).toEqual([1, 1, 1]);
    await Promise.all([one.kill(), three.kill()]);
    expect(await countIn(two)).toBe(1);
    await two.kill();
    await untilGone(folder);
    await waitUntil('the folder of the socket is gone', () => !existsSync(two.host));
  });

  it('stops when its last user releases it, not before', async () => {
    const [one, two] = [await startUser(), await startUser()];
    expect(await one.release()).toEqual({ released: true });
    expect(await two.query('select 1')).toEqual({ rows: [[1]] });
    expect(await two.release()).toEqual({ released: true });
    expect(existsSync(path.join(clusterIn(shared)!, 'postmaster.pid'))).toBe(false);
  });

  it('goes with a process that is killed while it starts the server', async () => {
    await (await startUser()).release();
    const user = new EmbeddedPostgresUser(shared);
    await waitUntil('the server has begun', () => existsSync(path.join(clusterIn(shared)!, 'postmaster.pid')));
    await user.kill();
    await untilGone(shared);
    expect(await (await startUser()).query('select 1')).toEqual({ rows: [[1]] });
  });

  it('has every acknowledged row after the server was killed, for those who stay and those who come', async () => {
    const stays = await startUser();
    await stays.query(ADD_ROW);
    const count = await countIn(stays);
    kill([await serverPid(shared)]);
    const comes = await startUser();
    expect(await countIn(comes)).toBe(count);

    kill([await serverPid(shared)]);
    await waitUntil('the server is started again by those who use it', async () => (await countIn(stays)) === count);
    await Promise.all([stays.kill(), comes.kill()]);
    await untilGone(shared);
  });

  it('gets a new guard while it is in use', async () => {
    const user = await startUser();
    const guards = guardsOf(user.host);
    expect(guards.length).toBeGreaterThan(0);
    kill(guards);
    await waitUntil('there is another guard', () => guardsOf(user.host).some((pid) => !guards.includes(pid)));
    expect(await user.query('select 1')).toEqual({ rows: [[1]] });
    await user.kill();
    await untilGone(shared);
  });

  it('gets a new guard from the next user, when guard and users were killed', async () => {
    const killed = await startUser();
    const pid = await serverPid(shared);
    kill(guardsOf(killed.host));
    await killed.kill();
    const next = await startUser();
    expect(await serverPid(shared)).toBe(pid);
    expect(await next.release()).toEqual({ released: true });
    await untilGone(shared);
  });

  it('stops with its last user although the guard has just been killed', async () => {
    const user = await startUser();
    kill(guardsOf(user.host));
    expect(await user.release()).toEqual({ released: true });
    await untilGone(shared);
  });

  it('stops with its last user although the guard is killed as that user leaves', async () => {
    const user = await startUser();
    const guards = guardsOf(user.host);
    const fifo = readdirSync(user.host).map((name) => path.join(user.host, name)).find((file) => path.basename(file).startsWith('users-') && isHeld(file))!;
    // A guard that does not run cannot see who is left; then it is killed.
    guards.forEach((pid) => process.kill(pid, 'SIGSTOP'));
    const released = user.release();
    await waitUntil('the user has let go', () => !isHeld(fifo));
    kill(guards);
    expect(await released).toEqual({ released: true });
    await untilGone(shared);
  });

  it('starts again when somebody has cleared /tmp, and stops with its last user even so', async () => {
    const user = await startUser();
    const pid = await serverPid(shared);
    rmSync(user.host, { recursive: true });
    await waitUntil('there is another server', async () => (await user.query('select 1')).rows !== undefined);
    expect(await serverPid(shared)).not.toBe(pid);
    rmSync(user.host, { recursive: true });
    await user.kill();
    await untilGone(shared);
  });

  it('heals after a process was killed in the midst of initdb', async () => {
    const folder = newFolder('half-written');
    do {
      // Once more, should this process have been halted for as long as initdb takes.
      rmSync(folder, { recursive: true });
      const user = new EmbeddedPostgresUser(newFolder('half-written'));
      await waitUntil('initdb is at work', () => readdirSync(folder).some((name) => existsSync(path.join(folder, name, 'PG_VERSION'))));
      await user.kill();
      await waitUntil('initdb and the server have ended', () => pidsOf(`-D ${folder}/`).length === 0);
    } while (clusterIn(folder));
    expect(readdirSync(folder)).toHaveLength(1);
    await startUser(folder);
    expect(readdirSync(folder).filter((name) => name.includes('init'))).toEqual([]);
  });

  it('sets a damaged folder aside and deletes nothing', async () => {
    const folder = newFolder('damaged');
    mkdirSync(path.join(folder, path.basename(clusterIn(shared)!)));
    writeFileSync(path.join(clusterIn(folder)!, 'precious'), 'data');
    const user = await startUser(folder);
    expect(await user.query('select 1')).toEqual({ rows: [[1]] });
    const aside = readdirSync(folder).find((name) => name.includes('.damaged-'))!;
    expect(readFileSync(path.join(folder, aside, 'precious'), 'utf8')).toBe('data');
  });

  it('starts although an unrelated process has the number of a server that was killed', async () => {
    const user = await startUser();
    await user.query(ADD_ROW);
    const count = await countIn(user);
    await user.kill();
    await untilGone(shared);
    const unrelated = spawn(process.execPath, ['-e', 'setInterval(() => 1, 1000)'], { stdio: 'ignore' });
    try {
      const lock = path.join(clusterIn(shared)!, 'postmaster.pid');
      writeFileSync(lock, `${unrelated.pid}\n${clusterIn(shared)}\n1\n5432\n${user.host}\n\n 1 1\nready   \n`, { mode: 0o600 });
      const { uid, gid } = statSync(clusterIn(shared)!);
      chownSync(lock, uid, gid);
      expect(await countIn(await startUser())).toBe(count);
      expect(processExists(unrelated.pid!)).toBe(true);
    } finally {
      unrelated.kill('SIGKILL');
    }
  });

  it('leaves a server alone that was started by hand', async () => {
    const user = await startUser();
    await user.kill();
    await untilGone(shared);
    // As a server writes it whose socket is in /tmp itself. A process with a server's looks stands for it.
    const lock = path.join(clusterIn(shared)!, 'postmaster.pid');
    const byHand = spawn(process.execPath, ['-e', 'setInterval(() => 1, 1000)'], { argv0: 'postgres', cwd: clusterIn(shared), stdio: 'ignore' });
    try {
      writeFileSync(lock, `${byHand.pid}\n${clusterIn(shared)}\n1\n5432\n/tmp\n\n 1 1\nready   \n`);
      const other = new EmbeddedPostgresUser(shared);
      expect((await other.answer()).error).toMatch(/A Postgres that the service has not started \(process \d+\) runs on .*: stop it, or set DATABASE_URL/);
      expect(existsSync(lock)).toBe(true);
    } finally {
      byHand.kill('SIGKILL');
    }
    expect(await (await startUser()).query('select 1')).toEqual({ rows: [[1]] });
  });

  it('says in its own words why it does not start', async () => {
    const user = new EmbeddedPostgresUser(shared, { settings: ['shared_buffers=plenty'] });
    expect((await user.answer()).error).toMatch(/did not start:\n[^]*invalid value for parameter "shared_buffers": "plenty"/);
  });

  it('trusts no folder for its socket that others can reach', async () => {
    const account = { uid: process.getuid!(), gid: process.getgid!(), wrapper: [], spawnOptions: {} };
    const folder = await openSocketFolder(path.join(temporary, 'nowhere'), account);
    try {
      expect(path.join(folder, '.s.PGSQL.5432').length).toBeLessThanOrEqual(103);
      chmodSync(folder, 0o755);
      await expect(openSocketFolder(path.join(temporary, 'nowhere'), account)).rejects.toThrow(/not a folder private to user \d+ .*mode 755/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  const canNobodyRead = isRoot && spawnSync(process.execPath, ['-e', `require('fs').readdirSync(${JSON.stringify(__dirname)})`], { uid: NOBODY, gid: NOBODY, cwd: '/' }).status === 0;
  const asNobody = canNobodyRead ? it : it.skip;
  const reason = isRoot ? 'user nobody cannot reach this checkout' : 'the suite does not run as root';

  asNobody(`runs as an ordinary user, too${canNobodyRead ? '' : ` (skipped: ${reason})`}`, async () => {
    const folder = newFolder('ordinary');
    chownSync(folder, NOBODY, NOBODY);
    const user = await startUser(folder, { uid: NOBODY, gid: NOBODY });
    expect(await user.query('select 1')).toEqual({ rows: [[1]] });
    expect(statSync(clusterIn(folder)!).uid).toBe(NOBODY);
    expect(await user.release()).toEqual({ released: true });
  });

  asNobody(`runs as nobody for a root that may make no user namespace, and so from then on${canNobodyRead ? '' : ` (skipped: ${reason})`}`, async () => {
    const folder = newFolder('no-namespace');
    const forbidden = newFolder('forbidden');
    writeFileSync(path.join(forbidden, 'unshare'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const user = await startUser(folder, { env: { ...process.env, PATH: `${forbidden}:${process.env.PATH}` } });
    await user.query(ADD_ROW);
    expect(String(statSync(clusterIn(folder)!).uid)).toBe(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim());
    expect(await countIn(await startUser(folder))).toBe(1);
  });

  asNobody(`refuses another user's data${canNobodyRead ? '' : ` (skipped: ${reason})`}`, async () => {
    const user = new EmbeddedPostgresUser(shared, { uid: NOBODY, gid: NOBODY });
    expect((await user.answer()).error).toMatch(/belongs to user 0, and this process runs as user 65534/);
  });
});
