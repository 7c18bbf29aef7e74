import pg from 'pg';
import logger from '@commons/backend/lib/logging.js';
import { migrate } from '@commons/backend/lib/database/migrate.js';
import type { MigrationFile } from '@commons/backend/lib/database/migration-turn.js';
import { type Script, scriptedMigrations } from '../../helpers/scripted-migrations.js';
import { waitUntil } from '../../helpers/wait-until.js';

const url = process.env.DATABASE_URL!;
let reader: pg.Client;
let writer: pg.Client;
const remove: (() => void)[] = [];

const sql = (up: string, config?: MigrationFile['config']): MigrationFile => ({ up: (knex) => knex.raw(up), down: async () => undefined, ...(config && { config }) });
const migrations = (script: Script) => {
  const all = scriptedMigrations(url, script);
  remove.push(all.remove);
  return all;
};
const isLockedByKnex = async () => (await writer.query('select is_locked from knex_migrations_lock')).rows;
const columns = async () => (await writer.query(`select column_name as name from information_schema.columns where table_name = 'read_much' order by 1`)).rows.map(({ name }) => name);

beforeEach(async () => {
  [reader, writer] = [new pg.Client(url), new pg.Client(url)];
  for (const client of [reader, writer]) client.on('error', () => undefined);
  await Promise.all([reader.connect(), writer.connect()]);
  await writer.query('drop table if exists read_much; create table read_much (id int)');
  await writer.query(`delete from knex_migrations where name like '2030%'`);
  jest.spyOn(logger, 'warn').mockImplementation(() => undefined);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all([reader.end(), writer.end()]);
  for (const each of remove.splice(0)) each();
});

/** Somebody reads the table for long. */
const beginReading = () => reader.query('begin; select * from read_much');
const triesThatFailed = () => jest.mocked(logger.warn).mock.calls.filter(([message]) => /is tried again/.test(message));

describe('a migration whose table somebody reads for long', () => {
  it('keeps nobody else from the table, and succeeds when the reader ends', async () => {
    await beginReading();
    const migrating = migrate(migrations({ add_column: sql('alter table read_much add column added int') }));
    const waits: number[] = [];
    await waitUntil('it has tried three times', async () => {
      const since = performance.now();
      await writer.query('insert into read_much (id) values (1)');
      waits.push(performance.now() - since);
      return triesThatFailed().length >= 3;
    });
    // The recorder's own lock_timeout, beyond which runs would fail.
    expect(waits.filter((ms) => ms > 1_000)).toEqual([]);
    expect(triesThatFailed()[0]).toEqual([expect.stringContaining('_add_column waits for a table that others use'), 'migrate', expect.objectContaining({ nextTryInMs: 500, oldestTransactions: expect.stringContaining(`process ${(reader as unknown as { processID: number }).processID}`) })]);
    expect(await isLockedByKnex()).toEqual([{ is_locked: 0 }]);
    await reader.query('commit');
    expect(await migrating).toEqual([expect.stringContaining('add_column')]);
    expect(await columns()).toEqual(['added', 'id']);
    expect(await isLockedByKnex()).toEqual([{ is_locked: 0 }]);
  });

  it('gives up in the end, names who may hold the lock, and leaves nothing locked and nothing half done', async () => {
    await beginReading();
    const impatient = { ...migrations({ first: sql('create table made_first (id int)'), add_column: sql('create table half_done (id int); alter table read_much add column added int') }), patienceMs: 1_000 };
    await expect(migrate(impatient)).rejects.toThrow(/_add_column waits for a table that others use, and has given up\. The oldest transactions: process \d+ .*End them, or wait for their end, and migrate again\./);
    expect(await isLockedByKnex()).toEqual([{ is_locked: 0 }]);
    const { rows } = await writer.query(`select to_regclass('made_first') is not null as first, to_regclass('half_done') is not null as half`);
    expect(rows).toEqual([{ first: true, half: false }]);
    await reader.query('commit');
    expect(await migrate(impatient)).toEqual([expect.stringContaining('add_column')]);
  });

  it('is run once where several replicas migrate at once, and stops waiting when one of them is told to stop', async () => {
    await beginReading();
    const script = migrations({ add_column: sql('alter table read_much add column added int') });
    const stopping = new AbortController();
    const stopped = migrate({ ...script, signal: stopping.signal }).catch((error: unknown) => error);
    await waitUntil('it has tried', () => triesThatFailed().length > 0);
    const others = [migrate(script), migrate(script)];
    stopping.abort(new Error('stopping'));
    expect(await stopped).toMatchObject({ message: 'stopping' });
    await reader.query('commit');
    expect((await Promise.all(others)).flat()).toEqual([expect.stringContaining('add_column')]);
  });

  it('is not tried again when it runs outside a transaction, since half of it may be done', async () => {
    await beginReading();
    const outside = migrations({ in_parts: sql('alter table read_much add column added int', { transaction: false }) });
    await expect(migrate(outside)).rejects.toMatchObject({ message: expect.stringMatching(/^The migration 20300101000000_in_parts failed, and runs outside a transaction, so a part of it may be done: /), cause: { code: '55P03' } });
    expect(triesThatFailed()).toEqual([]);
    expect(await isLockedByKnex()).toEqual([{ is_locked: 0 }]);
  });
});
