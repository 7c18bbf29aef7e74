import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Knex } from 'knex';
import knex from '@commons/backend/lib/knex.js';
import { migrate } from '@commons/backend/lib/database/migrate.js';
import { MigrationFault } from '@commons/backend/lib/database/migration-file.js';
import type { MigrationFile } from '@commons/backend/lib/database/migration-turn.js';
import { previewRollBack } from '@commons/backend/lib/database/roll-back.js';
import { scriptedMigrations } from '../../helpers/scripted-migrations.js';

const url = process.env.DATABASE_URL!;
const remove: (() => void)[] = [];
const ok = { up: (db: Knex) => db.raw('select 1'), down: (db: Knex) => db.raw('select 1') };

/** Migrations of which one is as it should not be. */
function withMigration(migration: unknown) {
  const all = scriptedMigrations(url, { first_one: ok, add_leaf: migration as MigrationFile });
  remove.push(all.remove);
  return all;
}

const faultOf = (migrating: Promise<unknown>): Promise<unknown> => migrating.then(() => undefined, (error: unknown) => error);
const noted = () => knex('knex_migrations').where('name', 'like', '2030%').pluck('name');

afterEach(async () => {
  remove.splice(0).forEach((each) => each());
  await knex('knex_migrations').where('name', 'like', '2030%').delete();
  await knex.schema.dropTableIfExists('leaf');
});

describe('a migration file', () => {
  it.each<[string, unknown, RegExp]>([
    ['is empty', {}, /^The migration \S+_add_leaf\.js exports no function up\. Write: export async function up/],
    ['exports something else as up', { up: 'create table leaf (id int)' }, /_add_leaf\.js exports no function up\./],
    ['exports something else as down', { ...ok, down: 3 }, /_add_leaf\.js exports no function down\./],
    ['fails', { ...ok, up: (db: Knex) => db.raw('create table leaf (id nothing)') }, /_add_leaf failed and was rolled back: .*type "nothing" does not exist\. Mend its file/],
    ['has no SQL yet, as migrate:make writes it', { ...ok, up: (db: Knex) => db.raw('') }, /_add_leaf failed and was rolled back: The query is empty\. Mend its file/],
    ['fails outside a transaction', { ...ok, up: (db: Knex) => db.raw('select 1 / 0'), config: { transaction: false } }, /_add_leaf failed, and runs outside a transaction, so a part of it may be done: .*division by zero/],
  ])('that %s is told by its name, with what to do, and those before it have run', async (_what, migration, message) => {
    const fault = await faultOf(migrate(withMigration(migration)));
    expect(fault).toBeInstanceOf(MigrationFault);
    expect((fault as Error).message).toMatch(message);
    expect(await noted()).toEqual(['20300101000000_first_one']);
  });

  it('that cannot be loaded is told by its name, with the reason', async () => {
    const all = withMigration(ok);
    const broken = { ...all, importFile: () => Promise.reject(new SyntaxError('Unexpected token')) };
    expect(await faultOf(migrate(broken))).toMatchObject({ name: 'MigrationFault', message: expect.stringMatching(/_first_one\.js cannot be loaded: Unexpected token$/) });
  });

  it('keeps the values that Postgres quotes out of the message', async () => {
    const fault = await faultOf(migrate(withMigration({ ...ok, up: (db: Knex) => db.raw(`select 'canary'::int`) })));
    expect(fault).toMatchObject({ name: 'MigrationFault', message: expect.not.stringContaining('canary') });
  });

  it('may do without a down, and is then not taken back', async () => {
    const all = withMigration({ up: (db: Knex) => db.raw('create table leaf (id int)') });
    expect(await migrate(all)).toEqual(['20300101000000_first_one', '20300101000001_add_leaf']);
    expect(await faultOf(previewRollBack(all, '20300101000001_add_leaf'))).toMatchObject({ name: 'RollBackRefused', message: expect.stringContaining('has no down') });
  });

  it('whose down fails is told by its name, and nothing is changed', async () => {
    const all = withMigration({ ...ok, down: (db: Knex) => db.raw('drop table nothing_there') });
    await migrate(all);
    expect(await faultOf(previewRollBack(all, '20300101000001_add_leaf'))).toMatchObject({
      name: 'RollBackRefused', message: expect.stringMatching(/^20300101000001_add_leaf is not taken back, since its down failed: .*"nothing_there" does not exist\. Nothing was changed\./),
    });
    expect(await noted()).toHaveLength(2);
  });

  it('is told on the command line by one line, without a stack', async () => {
    const root = path.resolve(__dirname, '../../../..');
    const folder = mkdtempSync(path.join(os.tmpdir(), 'migration-file-'));
    writeFileSync(path.join(folder, '20300101000000_add_leaf.mjs'), '');
    const script = `const { faultText } = await import(${JSON.stringify(path.join(root, 'src/cli/fault-text.ts'))});
      const { importMigration } = await import(${JSON.stringify(path.join(root, 'src/lib/database/migration-file.ts'))});
      await importMigration({ folder: ${JSON.stringify(folder)}, importFile: (file) => import(file) }, '20300101000000_add_leaf.mjs').catch((error) => console.log(faultText(error)))`;
    const printed = await new Promise((resolve) => void execFile(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { cwd: root }, (error, stdout) => resolve(error ?? stdout)));
    rmSync(folder, { recursive: true });
    expect(printed).toMatch(/^error: The migration \S+_add_leaf\.mjs exports no function up\. .*\n$/);
  });
});
