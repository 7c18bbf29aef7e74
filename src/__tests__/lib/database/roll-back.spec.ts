import path from 'node:path';
import type { Knex } from 'knex';
import pg from 'pg';
import { migrate } from '@commons/backend/lib/database/migrate.js';
import type { MigrationFile } from '@commons/backend/lib/database/migration-turn.js';
import { newestMigration, previewRollBack, rollBack, RollBackRefused } from '@commons/backend/lib/database/roll-back.js';
import { type Script, scriptedMigrations } from '../../helpers/scripted-migrations.js';

const url = process.env.DATABASE_URL!;
const real = { connection: { connectionString: url }, folder: path.resolve(__dirname, '../../../models/migrations'), importFile: (file: string) => import(file) };
let client: pg.Client;
const remove: (() => void)[] = [];

const sql = (up: string, down: string, more: Partial<MigrationFile> = {}): MigrationFile => ({ up: (knex) => knex.raw(up), down: (knex) => knex.raw(down), ...more });
const migrations = (script: Script) => {
  const all = scriptedMigrations(url, script);
  remove.push(all.remove);
  return all;
};
const noted = async () => (await client.query(`select name from knex_migrations order by id`)).rows.map(({ name }) => String(name));
const entries = async () => (await client.query('select id, action from audit_event order by id')).rows;

beforeAll(async () => {
  client = new pg.Client(url);
  client.on('error', () => undefined); // The database is gone before afterAll comes.
  await client.connect();
  await client.query(`insert into audit_event (id, action, outcome) values (gen_random_uuid(), 'run', 'allowed')`);
});
beforeEach(() => client.query(`delete from knex_migrations where name like '2030%'; drop table if exists noted, kept`));
afterEach(() => remove.splice(0).forEach((each) => each()));
afterAll(() => client.end());

describe('taking a migration back', () => {
  it('takes the newest alone, and says before what goes with it, without changing anything', async () => {
    const script = migrations({
      make_noted: sql('create table noted (id int); insert into noted select generate_series(1, 3)', 'drop table noted'),
      add_text: sql('alter table noted add column "someText" text; create table kept (id int); insert into kept values (1)', 'alter table noted drop column "someText"; drop table kept'),
    });
    const [first, second] = await migrate(script);
    expect(await newestMigration(script)).toBe(second);
    const losses = [{ what: 'column noted."someText"' }, { what: 'table kept', rows: 1 }];
    expect(new Set(await previewRollBack(script, second!))).toEqual(new Set(losses));
    expect((await client.query('select "someText" from noted')).rows).toHaveLength(3);
    expect((await client.query('select id from kept')).rows).toHaveLength(1);
    expect((await noted()).slice(-2)).toEqual([first, second]);

    await rollBack(script, second!);
    expect((await client.query('select * from noted')).fields.map(({ name }) => name)).toEqual(['id']);
    expect((await noted()).at(-1)).toBe(first);
    expect(await newestMigration(script)).toBe(first);
    expect(await previewRollBack(script, first!)).toEqual([{ what: 'table noted', rows: 3 }]);
  });

  it('is refused for a migration that is not the newest any more', async () => {
    const script = migrations({ make_noted: sql('create table noted (id int)', 'drop table noted'), make_kept: sql('create table kept (id int)', 'drop table kept') });
    const [first, second] = await migrate(script);
    await expect(rollBack(script, first!)).rejects.toThrow(`${first} is not the newest migration any more: that is ${second}. Look again.`);
  });

  it.each<[string, MigrationFile, RegExp]>([
    ['that says that it is irreversible', sql('select 1', 'select 1', { irreversible: 'it joins two columns. Restore a backup.' }), /is not taken back: it joins two columns\. Restore a backup\./],
    ['without a transaction', sql('select 1', 'select 1', { config: { transaction: false } }), /does not run in a transaction/],
  ])('is refused for one %s', async (_what, migration, reason) => {
    const script = migrations({ odd: migration });
    const [name] = await migrate(script);
    await expect(rollBack(script, name!)).rejects.toThrow(reason);
    expect((await noted()).at(-1)).toBe(name);
  });

  it('is refused for one whose down ends its transaction, before anything of it is done, or at least says that something may be', async () => {
    // As a migration of the project has it: in its own text. And where that says nothing of it.
    const hidden = 'com' + 'mit; drop table noted';
    for (const down of [(knex: Knex) => knex.raw('commit'), async (knex: Knex) => void (await knex.raw(hidden.split(';')[0]!), await knex.raw('begin'))]) {
      const script = migrations({ make_noted: { up: (knex) => knex.raw('create table if not exists noted (id int)'), down } });
      const [name] = await migrate(script);
      await expect(previewRollBack(script, name!)).rejects.toThrow(/COMMIT or ROLLBACK in it|part of it may be done/);
      expect((await client.query('select * from noted')).rows).toEqual([]);
      await client.query(`delete from knex_migrations where name like '2030%'`);
    }
  });

  it('is refused for one that has no down, and for one that is of another release', async () => {
    const [name] = await migrate(migrations({ odd: sql('select 1', 'select 1') }));
    await expect(rollBack(migrations({ odd: { up: async () => undefined } }), name!)).rejects.toThrow(/has no down, so it cannot be taken back\. Write a new migration/);
    await expect(rollBack(real, name!)).rejects.toThrow(/has no file in this release\. Take it back with the release that has it, or put its file back\./);
    expect((await noted()).at(-1)).toBe(name);
  });
});

const GUARD = 'create table kept (id int); create function kept_is_append_only() returns trigger language plpgsql as $$ begin raise exception $a$append-only$a$; end $$; create trigger kept_guard before update or delete on kept for each row execute function kept_is_append_only(); insert into kept values (1)';

describe('the audit trail', () => {
  const refused = async (script: ReturnType<typeof migrations>, reason: RegExp) => {
    const [before, name] = [await entries(), (await migrate(script)).at(-1)!];
    for (const attempt of [previewRollBack, rollBack]) {
      const error: unknown = await attempt(script, name).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(RollBackRefused);
      expect((error as Error).message).toMatch(reason);
      expect((error as Error).message).toMatch(/Nothing was changed\. .*pg_dump --table=audit_event/);
    }
    expect(await entries()).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
    expect((await noted()).at(-1)).toBe(name);
    await expect(client.query('delete from audit_event')).rejects.toThrow('append-only');
  };

  it.each([
    ['dropped', 'drop table audit_event', /audit_event would be dropped/],
    ['dropped with all that hangs on it', 'drop function audit_event_is_append_only() cascade; drop table audit_event', /audit_event would be dropped/],
    ['dropped and made anew', 'drop table audit_event; create table audit_event (id uuid)', /audit_event would be dropped/],
    ['emptied', 'alter table audit_event disable trigger user; truncate audit_event; alter table audit_event enable trigger user', /emptied or written anew/],
    ['emptied row by row', 'alter table audit_event disable trigger user; delete from audit_event; alter table audit_event enable trigger user', /rows of the append-only table audit_event would be changed or deleted/],
    ['changed behind its triggers', `set local session_replication_role = replica; update audit_event set caller = 'somebody else'`, /would be changed or deleted/],
    ['robbed of a column', 'alter table audit_event drop column caller', /would lose its column caller/],
    ['robbed of a trigger', 'drop trigger audit_event_append_only on audit_event', /would lose its trigger audit_event_append_only/],
    ['left with a trigger that sleeps', 'alter table audit_event disable trigger audit_event_append_only', /would lose its trigger audit_event_append_only/],
    ['left with a trigger that lets everything pass', 'create or replace function audit_event_is_append_only() returns trigger language plpgsql as $$ begin return old; end $$', /or what that does/],
    ['renamed', 'alter table audit_event rename to old_audit_event', /would become old_audit_event/],
  ])('is never %s', (_what, down, reason) => refused(migrations({ later: sql('select 1', down) }), reason));

  it('is not the only table that is kept: a later one with a guard of that kind is too', async () => {
    await refused(migrations({ later: sql(GUARD, 'drop table kept; drop function kept_is_append_only()') }), /the append-only table kept would be dropped/);
    await client.query('drop table kept; drop function kept_is_append_only()');
  });

  it('does not go with the migration that made it, nor with those before it', async () => {
    const all = await noted();
    const maker = all.findIndex((name) => name.endsWith('_audit_and_personal_data'));
    await client.query('delete from knex_migrations where name = any($1)', [all.slice(maker + 1)]);
    const before = await entries();
    await expect(rollBack(real, all[maker]!)).rejects.toThrow(/audit_event would be dropped/);
    expect(await entries()).toEqual(before);
    expect(await noted()).toEqual(all.slice(0, maker + 1));
  });
});
