import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { migrate } from '@commons/backend/lib/database/migrate.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { createBatchJobRun } from '../../helpers/factories/batch-job-run-factory.js';
import { createZipCode } from '../../helpers/factories/zip-code-factory.js';
import { killServiceProcesses, startServiceProcess } from '../../helpers/service-process.js';
import { administer, dropDatabase, runName, urlOf } from '../../helpers/test-postgres.js';
import { waitUntil } from '../../helpers/wait-until.js';

const ADVISORY_LOCK = 4_719_002_331;

/** An empty database, which no migration has seen. */
const database = `${runName()}_migrate_${randomBytes(4).toString('hex')}`;
const connectionString = urlOf(database);
const migrations = (signal?: AbortSignal) => ({
  connection: { connectionString },
  folder: path.resolve(__dirname, '../../../models/migrations'),
  importFile: (file: string) => import(file),
  ...(signal && { signal }),
});

let other: pg.Client;

beforeEach(async () => {
  await administer(`create database "${database}"`);
  other = new pg.Client(connectionString);
  other.on('error', () => undefined);
  await other.connect();
});

afterEach(async () => {
  await killServiceProcesses();
  await other.end();
  await dropDatabase(database);
});

describe('migrate', () => {
  it('brings an empty database to the newest migration, once, however many do so together', async () => {
    const names = await Promise.all([migrate(migrations()), migrate(migrations()), migrate(migrations())]);
    expect(names.flat().length).toBeGreaterThan(1);
    expect(names.filter((each) => each.length > 0)).toHaveLength(1);
    const { rows } = await other.query('select name from knex_migrations order by id');
    expect(rows.map(({ name }) => name)).toEqual(names.flat());
  });

  it('leaves no lock and no connection behind', async () => {
    await migrate(migrations());
    const { rows } = await other.query('select pg_try_advisory_lock($1) as got', [ADVISORY_LOCK]);
    expect(rows).toEqual([{ got: true }]);
    await waitUntil('others are gone', async () => {
      const { rowCount } = await other.query('select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = $1', ['client backend']);
      return rowCount === 0;
    });
  });

  it('gives up waiting for its turn when the signal fires', async () => {
    await other.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
    const stopping = new AbortController();
    const migrating = migrate(migrations(stopping.signal)).catch((error: unknown) => error);
    await waitUntil('it waits', async () => (await other.query(`select 1 from pg_locks where locktype = 'advisory' and not granted`)).rowCount === 1);
    stopping.abort(new Error('stopping'));
    expect(await Promise.race([migrating, delay(20_000, undefined, { ref: false })])).toMatchObject({ message: 'stopping' });
    await other.query('select pg_advisory_unlock($1)', [ADVISORY_LOCK]);
    expect((await migrate(migrations())).length).toBeGreaterThan(0);
  });
});

describe('a service', () => {
  it('that waits for another replica to migrate stops at once, with code 0', async () => {
    await other.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
    const service = await startServiceProcess({ DATABASE_URL: connectionString }, { untilReady: false });
    await waitUntil('it waits', async () => (await other.query(`select 1 from pg_locks where locktype = 'advisory' and not granted`)).rowCount === 1);
    const since = performance.now();
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    expect(performance.now() - since).toBeLessThan(30_000);
    expect(service.output()).not.toContain('Ready');
  });

  it('that must not migrate is not ready before somebody else has', async () => {
    const service = await startServiceProcess({ DATABASE_URL: connectionString, MIGRATE_ON_START: 'no' }, { untilReady: false });
    await waitUntil('it says what to do', () => service.output().includes('The database is not migrated: run npm run migrate (MIGRATE_ON_START is no)'));
    expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    await migrate(migrations());
    await waitUntil('it is ready', async () => (await fetch(`${service.url}/readyz`)).status === 200);
  });

  it('that must not migrate names the migration that is missing, and is ready once somebody has run it', async () => {
    const names = await migrate(migrations());
    await other.query('delete from knex_migrations where name = $1', [names.at(-1)]);
    const service = await startServiceProcess({ DATABASE_URL: connectionString, MIGRATE_ON_START: 'no' }, { untilReady: false });
    const reason = async () => ((await (await fetch(`${service.url}/readyz`)).json()) as { reason?: string }).reason;
    await waitUntil('it names it', async () => (await reason())?.includes(`The database lacks the migration ${names.at(-1)}: run npm run migrate`));
    expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    await other.query('insert into knex_migrations (name, batch, migration_time) values ($1, 9, now())', [names.at(-1)]);
    await waitUntil('it is ready', async () => (await fetch(`${service.url}/readyz`)).status === 200);
  });

  it('is ready no longer when a migration is taken back under it, and is ready again afterwards', async () => {
    const service = await startServiceProcess({ DATABASE_URL: connectionString });
    await other.query(`alter table knex_migrations rename to away`);
    await waitUntil('it is not ready', async () => (await fetch(`${service.url}/readyz`)).status === 503);
    await other.query(`alter table away rename to knex_migrations`);
    await waitUntil('it is ready', async () => (await fetch(`${service.url}/readyz`)).status === 200);
  });

  it('says how to mend it where its user may not read which migrations there are', async () => {
    await migrate(migrations());
    const role = `${database}_reader`;
    await other.query(`create role "${role}" login; grant connect on database "${database}" to "${role}"`);
    try {
      const url = new URL(connectionString);
      url.username = role;
      const service = await startServiceProcess({ DATABASE_URL: url.href, MIGRATE_ON_START: 'no' }, { untilReady: false });
      await waitUntil('it says so', async () => (await (await fetch(`${service.url}/readyz`)).text()).includes('grant select on knex_migrations'));
    } finally {
      await killServiceProcesses();
      await other.query(`drop owned by "${role}"; drop role "${role}"`);
    }
  });

  it('asks the database once however many ask at once whether it is ready', async () => {
    const service = await startServiceProcess({ DATABASE_URL: connectionString });
    // By a connection of its own: within a transaction pg_stat_activity stays as it was at first.
    const asking = async () => Number((await administer(`select count(*) from pg_stat_activity where datname = '${database}' and application_name = 'commons-recorder' and wait_event_type = 'Lock'`))[0]!.count);
    await other.query('begin; lock table knex_migrations in access exclusive mode');
    let most = 0;
    // The answer of the start is kept for a while: until it is asked anew, nobody waits.
    while (most === 0) {
      let areAnswered = false;
      const answers = Promise.all(Array.from({ length: 50 }, () => fetch(`${service.url}/readyz`))).finally(() => (areAnswered = true));
      // They are answered once the question has waited for as long as it may (lock_timeout).
      while (!areAnswered) most = Math.max(most, await asking());
      await answers;
    }
    expect(most).toBe(1);
    await other.query('rollback');
  });
});

describe('the factories', () => {
  it('make rows that the migrated database takes', async () => {
    const { id } = await createBatchJobRun({ status: 'failed', httpStatus: 500 });
    expect(await BatchJobRun.find(String(id))).toMatchObject({ id, status: 'failed', httpStatus: 500 });
    expect(await createZipCode({ state: 'MA' })).toMatchObject({ state: 'MA', city: 'New York' });
  });
});
