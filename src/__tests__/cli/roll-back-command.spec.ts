import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import pg from 'pg';
import { builtProgram } from '../helpers/built-program.js';
import { administer, createDatabase, dropDatabase, runName, urlOf } from '../helpers/test-postgres.js';

const ROOT = path.resolve(__dirname, '../../..');
const AUDIT = '20261124000400_audit_and_personal_data';
const KEYS = '20261124000300_run_only_keys';
const database = `${runName()}_roll_back_${randomBytes(4).toString('hex')}`;
let client: pg.Client;

/** The real command line in a process of its own, without a terminal. */
function job(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, builtProgram('src/cli.ts', ...args), {
    cwd: ROOT, env: { ...process.env, DATABASE_URL: urlOf(database), LOG_LEVEL: 'error', NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => (text.stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (text.stderr += part.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...text })));
}

const newest = async () => String((await client.query('select name from knex_migrations order by id desc limit 1')).rows[0]?.name);
const hasColumn = async () => (await client.query(`select 1 from information_schema.columns where table_name = 'batch_job_run' and column_name = 'onlyKeys'`)).rowCount === 1;

// As it was before the audit trail's migration, but for its tables: so that one can be taken back.
beforeEach(async () => {
  await createDatabase(database);
  client = new pg.Client(urlOf(database));
  await client.connect();
  await client.query('delete from knex_migrations where name > $1', [KEYS]);
});
afterEach(async () => {
  await client.end();
  await dropDatabase(database);
});

describe('migrate:rollback', () => {
  it('says which migration it is and what goes with it, and changes nothing where there is nobody to ask', async () => {
    const { code, stdout, stderr } = await job(['migrate:rollback']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`the newest migration is ${KEYS}. Taking it back removes:\n  column batch_job_run."onlyKeys"`);
    expect(stderr).toMatch(/error: there is nobody to ask .* give --yes, .* Nothing was changed\.\n$/);
    expect([await newest(), await hasColumn()]).toEqual([KEYS, true]);
  });

  it('says nothing of the next start where that does not migrate', async () => {
    const ended = await job(['migrate:rollback', '--yes'], { MIGRATE_ON_START: 'no' });
    expect(ended).toMatchObject({ code: 0, stderr: expect.not.stringContaining('runs it again') });
  });

  it('takes one back with --yes, the newest alone, and says that the next command runs it again', async () => {
    const ended = await job(['migrate:rollback', '--yes']);
    expect(ended).toMatchObject({ code: 0, stdout: `rolled back: ${KEYS}\n` });
    expect(ended.stderr).toMatch(/runs it again\. To change it, edit its file now, before either\. To keep it off, delete its file, or set MIGRATE_ON_START=no for both\.\n$/);
    expect([await newest(), await hasColumn()]).toEqual(['20261124000200_run_overlap', false]);
  });

  it.each([[[]], [['--yes']], [['--production']]])('is refused in production with %j', async (flags) => {
    const { code, stdout, stderr } = await job(['migrate:rollback', ...flags], { DEPLOYMENT: 'production' });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^error: DEPLOYMENT is production, where ${KEYS} is not taken back unless it is said twice: give both --yes and --production\\.`));
    expect([await newest(), await hasColumn()]).toEqual([KEYS, true]);
  });

  it('does it in production when it was said twice', async () => {
    expect(await job(['migrate:rollback', '--yes', '--production'], { DEPLOYMENT: 'production' })).toMatchObject({ code: 0, stdout: `rolled back: ${KEYS}\n` });
  });

  it('never takes back the audit trail, however often it was said, and says what to do instead', async () => {
    await client.query(`insert into knex_migrations (name, batch, migration_time) values ($1, 9, now())`, [AUDIT]);
    const { code, stderr } = await job(['migrate:rollback', '--yes', '--production'], { DEPLOYMENT: 'production' });
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^error: ${AUDIT} is not taken back: the append-only table audit_event would be dropped.* Nothing was changed\\. To go back to an older release, leave the database as it is`));
    expect((await client.query('select 1 from audit_event')).rowCount).toBe(0);
    expect(await newest()).toBe(AUDIT);
  });

  it('gives way to whoever uses the tables', async () => {
    await client.query('begin; select * from batch_job_run');
    expect(await job(['migrate:rollback', '--yes'])).toMatchObject({ code: 1, stderr: expect.stringContaining('error: others use the tables of the migration: nothing was changed. Try again') });
    await client.query('rollback');
  });

  it('has nothing to do in a database that nobody migrated', async () => {
    const empty = `${database}_empty`;
    await administer(`create database "${empty}"`);
    try {
      expect(await job(['migrate:rollback', '--yes'], { DATABASE_URL: urlOf(empty) })).toEqual({ code: 0, stdout: 'nothing to roll back\n', stderr: '' });
      expect(await job(['runs'], { DATABASE_URL: urlOf(empty), MIGRATE_ON_START: 'no' })).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: The database is not migrated .* npm run migrate\n$/) });
      const runs = await job(['runs', '--json'], { DATABASE_URL: urlOf(empty) });
      expect(runs).toMatchObject({ code: 0, stdout: '[]\n', stderr: expect.stringMatching(/^migrated the database first \(MIGRATE_ON_START=no keeps it as it is\): .*batch_job_run/) });
      expect(await job(['migrate'], { DATABASE_URL: urlOf(empty) })).toEqual({ code: 0, stderr: '', stdout: 'nothing to migrate\n' });
    } finally {
      await dropDatabase(empty);
    }
  });
});
