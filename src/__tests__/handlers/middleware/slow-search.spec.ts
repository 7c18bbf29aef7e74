import request from 'supertest';
import * as envConfigModule from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import { testApp } from '../../helpers/test-app.js';

// The server cuts every statement off early. What stands in DATABASE_URL goes over the service's own settings.
const { databaseUrl, ...config } = envConfigModule.envConfig();
const url = new URL(databaseUrl!);
url.searchParams.set('statement_timeout', '1500');
jest.spyOn(envConfigModule, 'envConfig').mockReturnValue({ ...config, databaseUrl: url.href });

const app = testApp();
let runId: string;

/** Has reading a row of the table take longer than that. Writing works as before. */
async function slowDown(table: string): Promise<void> {
  await knex.raw(`alter table ?? rename to ??`, [table, `${table}_kept`]);
  await knex.raw(`create view ?? as select * from ?? where pg_sleep(3) is not null`, [table, `${table}_kept`]);
}
async function speedUp(table: string): Promise<void> {
  await knex.raw('drop view ??', [table]);
  await knex.raw(`alter table ?? rename to ??`, [`${table}_kept`, table]);
}

beforeAll(async () => {
  runId = (await request(app).post('/jobs/logs').send({})).headers['job-run-id']!;
});

describe('a search that takes the database too long', () => {
  it.each([
    ['/runs', 'batch_job_run', /Narrow it, by job or since\./],
    ['/audit', 'audit_event', /Narrow it, by run, or ask for fewer entries with limit\./],
    ['/jobs', 'batch_job_run', /newest runs took too long\. Send it again\./],
    ['/jobs/logs', 'batch_job_run', /newest runs took too long\. Send it again\./],
    ['/runs/:id', 'batch_job_run', /The database took too long\. Send it again\./],
    ['/runs/:id/logs', 'batch_job_run_log', /page by page/],
    ['/runs/:id/failures', 'batch_job_run_failure', /The database took too long\. Send it again\./],
  ])('is 503 on %s, and says what to do', async (address, table, detail) => {
    if (table === 'batch_job_run_failure') await knex('batch_job_run_failure').insert({ runId, attempt: 1, seq: 1, key: '1', message: 'odd', fingerprint: 'f' });
    await slowDown(table);
    try {
      const answer = await request(app).get(address.replace(':id', runId));
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, expect.any(String)]);
      expect(answer.body.detail).toMatch(detail);
    } finally {
      await speedUp(table);
    }
    expect((await request(app).get(address.replace(':id', runId))).status).toBe(200);
  });

  it('is 503 also where somebody holds a table that the audit trail needs', async () => {
    const trx = await knex.transaction();
    await trx.raw('lock table audit_event in access exclusive mode');
    try {
      const answer = await request(app).get('/audit');
      expect([answer.status, answer.body.detail]).toEqual([503, 'Somebody holds what this needs in the database. Send it again.']);
    } finally {
      await trx.rollback();
    }
  });
});
