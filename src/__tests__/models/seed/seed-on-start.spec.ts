import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readEnvConfig } from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { EmbeddedPostgresUser, killEmbeddedPostgresUsers } from '../../helpers/embedded-postgres-user.js';
import { killServiceProcesses, type ServiceProcess, startServiceProcess } from '../../helpers/service-process.js';

// The server's account has to reach it, and that may be another than ours.
const dataFolder = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'seed-on-start-spec-')));
chmodSync(dataFolder, 0o755);

/** The service as `npm start` runs it on a fresh clone. */
const startFresh = (env: NodeJS.ProcessEnv = {}) => startServiceProcess({ DATABASE_URL: '', JOBS_FOLDER: '', DATA_FOLDER: dataFolder, ...env });

const stop = async (services: readonly ServiceProcess[]) => {
  for (const { child } of services) child.kill('SIGTERM');
  expect(await Promise.all(services.map(({ exited }) => exited))).toEqual(services.map(() => 0));
};

const seedLines = (services: readonly ServiceProcess[]) => services.flatMap((service) => service.output().split('\n')).filter((line) => line.includes('[seed]'));

const count = async (table: string) => (await knex(table).count('* as rows').first())!.rows as unknown;

afterEach(async () => {
  await killServiceProcesses();
  await killEmbeddedPostgresUsers();
});

afterAll(() => rmSync(dataFolder, { recursive: true, force: true }));

it('an empty embedded database is seeded once, by whichever of two processes comes first, before it is ready', async () => {
  const services = await Promise.all([startFresh(), startFresh()]);
  expect(seedLines(services)).toEqual([expect.stringContaining('Put 5000 synthetic patients into the empty database (SEED_ON_START=no keeps it empty)')]);
  const user = new EmbeddedPostgresUser(dataFolder);
  expect((await user.answer()).error).toBeUndefined();
  expect(await user.query(`select count(*)::int, count(*) filter (where source = 'synthetic')::int, (select count(*)::int from zip_code) from patient`))
    .toMatchObject({ rows: [[5_000, 5_000, 0]] });
  await user.query('delete from task where true; delete from workflow; delete from patient where "externalId" > \'SYN-0000003\'');
  await user.release();
  await stop(services);

  const again = await startFresh();
  expect(seedLines([again])).toEqual([]);
  await stop([again]);
}, 120_000);

it('a database of one\'s own is not, unless asked for, and never in production, where the service starts all the same', async () => {
  const plain = await startServiceProcess({ JOBS_FOLDER: '' });
  const production = await startServiceProcess({ JOBS_FOLDER: '', SEED_ON_START: 'yes', DEPLOYMENT: 'production' });
  expect(seedLines([plain])).toEqual([]);
  expect(production.output()).toContain('DEPLOYMENT is production');
  expect(await count('patient')).toBe('0');
  await stop([plain, production]);

  const asked = await startServiceProcess({ JOBS_FOLDER: '', SEED_ON_START: 'yes' });
  expect(seedLines([asked])).toHaveLength(1);
  expect(await count('patient')).toBe('5000');
  await stop([asked]);
}, 120_000);

it.each([
  [{}, true],
  [{ SEED_ON_START: 'no' }, false],
  [{ DATABASE_URL: 'postgres://localhost/database' }, false],
  [{ DATABASE_URL: 'postgres://localhost/database', SEED_ON_START: 'yes' }, true],
  [{ DATABASE_URL: ' ' }, true],
  [{ JOBS_FOLDER: 'jobs' }, false],
  [{ DEPLOYMENT: 'local' }, true],
  [{ DEPLOYMENT: 'staging' }, false],
])('with %j, whether it is: %p', (env, isSeeded) => {
  expect(readEnvConfig(env).seedOnStart).toBe(isSeeded);
});
