import { randomUUID } from 'node:crypto';
import * as envConfigModule from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { reapLostRuns } from '@commons/backend/runs/reaper.js';
import { recorderPool } from '@commons/backend/lib/database/service-pools.js';
import { BatchJob } from '@commons/backend/models/batch-job.js';
import { waitUntil } from '../helpers/wait-until.js';

const { envConfig } = envConfigModule;
const RUN_ID = randomUUID();
const stopping: AbortController[] = [];

/** Reaps several times a second, until it has done so `times` times. @returns how often it has looked for bodies to erase */
async function reap(times: number, bodyKeys: ReturnType<typeof envConfig>['bodyKeys']): Promise<number> {
  const config = { ...envConfig(), runLease: 150, bodyKeys };
  jest.spyOn(envConfigModule, 'envConfig').mockReturnValue(config);
  const query = jest.spyOn(recorderPool, 'query');
  const asked = (text: RegExp) => query.mock.calls.filter(([statement]) => text.test(statement.text)).length;
  const stop = new AbortController();
  stopping.push(stop);
  const reaping = reapLostRuns(stop.signal);
  await waitUntil('it has reaped', () => asked(/set status = 'lost'/) >= times);
  stop.abort();
  await reaping;
  return asked(/set "sealedBody" = null/);
}

beforeEach(async () => {
  await BatchJob.findOrCreateByName('old');
  await knex('batch_job_run').insert({ id: RUN_ID, jobName: 'old', status: 'failed', trigger: 'http', startedAt: knex.raw(`now() - interval '60 days'`), finishedAt: knex.raw(`now() - interval '60 days'`), sealedBody: Buffer.from('sealed') });
});
afterEach(async () => {
  for (const each of stopping.splice(0)) each.abort();
  jest.restoreAllMocks();
  await knex('batch_job_run').delete();
});
const sealedBody = async () => (await knex('batch_job_run').where('id', RUN_ID).first('sealedBody'))?.sealedBody as Buffer | null;

describe('the reaper', () => {
  it('looks for bodies to erase once where no body is sealed, and erases those of earlier days', async () => {
    expect(await reap(6, undefined)).toBe(1);
    expect(await sealedBody()).toBeNull();
  });

  it('looks for them each time where bodies are sealed', async () => {
    expect(await reap(4, envConfigModule.readEnvConfig({ BODY_KEYS: Buffer.alloc(32, 1).toString('base64') }).bodyKeys)).toBeGreaterThan(2);
    expect(await sealedBody()).toBeNull();
  });
});
