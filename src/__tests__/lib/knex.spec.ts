import path from 'node:path';
import pg from 'pg';
import request from 'supertest';
import jobsKnex from '@commons/backend/lib/knex.js';
import { closeDatabase } from '@commons/backend/lib/database/database.js';
import { createRunKnex } from '@commons/backend/lib/run-knex/create-run-knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';
import { testApp, testRegistry } from '../helpers/test-app.js';
import { inDryRun, inRun } from '../helpers/test-scope.js';

const JOBS = path.join(__dirname, '../fixtures/knex-jobs');
const settings = { connection: process.env.DATABASE_URL!, pool: { min: 0, max: 2 } };
const knex = createRunKnex(settings);
const listen = () => undefined;

afterAll(() => knex.destroy());
afterAll(killServiceProcesses);

const works = async () => expect((await inRun(() => knex.raw('select 1 as n'))).rows).toEqual([{ n: 1 }]);

describe('a job that would change what all runs share is refused, and the next run works', () => {
  it.each<[string, () => unknown]>([
    ['knex.destroy()', () => knex.destroy()],
    ['knex.destroy() with a callback', () => knex.destroy(listen)],
    ['knex.destroy() that is not awaited until later', async () => { const destroying = knex.destroy(); await knex.raw('select 1').catch(() => undefined); await destroying; }],
    ['knex.context.destroy()', () => (knex as unknown as { context: typeof knex }).context.destroy()],
    ['knex.client.destroy()', () => knex.client.destroy()],
    ['knex.client.pool.destroy()', () => knex.client.pool.destroy()],
    ['knex.client.readOnlyPool.destroy()', () => knex.client.readOnlyPool.destroy()],
    ["withUserParams()'s destroy()", () => knex.withUserParams({}).destroy()],
    ['knex.initialize()', () => knex.initialize()],
    ['knex.initialize() with a config', () => knex.initialize({ client: 'pg', pool: { max: 50 } })],
    ['knex.client.initializePool()', () => knex.client.initializePool()],
    ['knex.on()', () => knex.on('query', listen)],
    ['knex.once()', () => knex.once('query-error', listen)],
    ['knex.addListener()', () => knex.addListener('query', listen)],
    ['knex.removeAllListeners()', () => knex.removeAllListeners()],
    ['knex.client.on()', () => knex.client.on('query', listen)],
    ['knex.client.prependListener()', () => knex.client.prependListener('query', listen)],
    ['knex.client.removeAllListeners()', () => knex.client.removeAllListeners('query')],
    ['knex.client.pool.on()', () => knex.client.pool.on('acquireSuccess', listen)],
    ['knex.client.pool.removeAllListeners()', () => knex.client.pool.removeAllListeners()],
    ['a setting', () => { knex.client.config.postProcessResponse = () => 'mine'; }],
    ["a setting, by a transaction's client", () => knex.transaction(async (trx) => { trx.client.config.wrapIdentifier = () => 'mine'; })],
    ['a setting that is deleted', () => { delete knex.client.config.pool; }],
    ['Object.assign on the settings', () => Object.assign(knex.client.config, { debug: true })],
    ['knex.disableProcessing()', () => (knex as unknown as { disableProcessing(): void }).disableProcessing()],
    ['knex.client = ...', () => { knex.client = {}; }],
    ['knex.userParams = ...', () => { knex.userParams = { mine: true }; }],
    ['pg.types.setTypeParser()', () => pg.types.setTypeParser(23, () => 'mine')],
    ['pg.defaults.parseInt8', () => { pg.defaults.parseInt8 = true; }],
    ['closeDatabase()', () => closeDatabase()],
  ])('%s', async (_, change) => {
    for (const inSome of [inRun, inDryRun]) {
      await expect(inSome(change)).rejects.toMatchObject({ name: 'SharedByRuns', status: 500, message: expect.stringMatching(/^A job may not .*outlive the run.*\. [A-Z].*\.$/) });
      await works();
    }
    expect((await inRun(() => knex.raw('select 2 as n, 3::int8 as big'))).rows).toEqual([{ n: 2, big: '3' }]);
    expect(knex.userParams).toEqual({});
  });

  it('even when its run is over', async () => {
    let late: Promise<unknown> = Promise.resolve();
    await inRun(() => {
      late = new Promise((resolve) => setTimeout(resolve, 20)).then(() => knex.destroy());
      late.catch(() => undefined);
    });
    await expect(late).rejects.toMatchObject({ name: 'SharedByRuns' });
    await works();
  });
});

describe('what is the run\'s own stays allowed', () => {
  it('listeners of builders and transactions, and a knex with parameters or settings of its own', async () => {
    const heard: string[] = [];
    await inRun(async () => {
      await knex.raw('select 1').on('query', ({ sql }: { sql: string }) => heard.push(sql));
      await knex.transaction(async (trx) => {
        trx.on('query', ({ sql }: { sql: string }) => heard.push(sql));
        await trx.raw('select 2');
      });
      const own = knex.withUserParams({ mine: true });
      own.on('query', ({ sql }: { sql: string }) => heard.push(sql));
      own.client.config.postProcessResponse = () => 'mine';
      expect(await own.raw('select 3')).toBe('mine');
    });
    await inRun(() => knex.raw('select 4'));
    expect(heard).toEqual(['select 1', 'select 2', 'COMMIT;', 'select 3']);
  });

  it('a knex that the job makes for itself', async () => {
    await inRun(async () => {
      const own = createRunKnex(settings);
      own.on('query', listen);
      await own.raw('select 1');
      await own.destroy();
      await expect(own.raw('select 1')).rejects.toThrow('Unable to acquire a connection');
    });
    await works();
  });

  it('and everything outside runs', async () => {
    const outside = createRunKnex(settings);
    outside.on('query', listen).removeListener('query', listen);
    outside.client.config.debug = false;
    outside.userParams = { x: 1 };
    await outside.raw('select 1');
    await outside.destroy();
    await expect(outside.raw('select 1')).rejects.toThrow('Unable to acquire a connection');
    outside.initialize();
    expect((await inRun(() => outside.raw('select 1 as n'))).rows).toEqual([{ n: 1 }]);
    await outside.destroy();
  });
});

describe('over HTTP', () => {
  it('a job that destroys the jobs\' knex fails and says what to do, and the next job works', async () => {
    const app = testApp(testRegistry(JOBS));
    const post = (act: string) => request(app).post('/jobs/uses-knex').send({ act });
    expect((await post('read')).body).toEqual([{ n: 1 }]);
    const refused = await post('destroy');
    expect(refused.status).toBe(500);
    expect(refused.body.detail).toContain('Leave the call out');
    expect((await BatchJobRun.find(refused.headers['job-run-id']!))!.status).toBe('failed');
    expect(await post('read')).toMatchObject({ status: 200, body: [{ n: 1 }] });
    expect((await jobsKnex.raw('select 1 as n')).rows).toEqual([{ n: 1 }]);
  });

  it('the service is not ready once its pool was closed from outside all runs', async () => {
    const service = await startServiceProcess({ JOBS_FOLDER: JOBS });
    const ready = () => fetch(`${service.url}/readyz`);
    expect((await callJob(service, 'uses-knex', { act: 'destroy' })).status).toBe(500);
    expect((await callJob(service, 'uses-knex', { act: 'read' })).status).toBe(200);
    expect((await ready()).status).toBe(200);
    await callJob(service, 'uses-knex', { act: 'destroy outside' });
    const answer = await ready();
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ status: 'not ready', reason: "the jobs' database pool was closed: restart the service" });
  });
});
