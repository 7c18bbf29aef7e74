import path from 'node:path';
import { checkJobMarks } from '@commons/backend/lib/job-files/check-marks.js';
import knex from '@commons/backend/lib/knex.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { callJob, killServiceProcesses, type ServiceProcess, startServiceProcess } from '../../helpers/service-process.js';

const FOLDER = path.join(__dirname, '../../fixtures/schema-jobs');

describe('the service over jobs with unusual schemas', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await startServiceProcess({ JOBS_FOLDER: FOLDER, REDACTION_KEY: 'a key of the tests, as long as it must be' });
  });
  afterAll(killServiceProcesses);

  /** The answer, and the row of its run as text. */
  async function call(slug: string, body: unknown): Promise<{ status: number; text: string; row: string }> {
    const answer = await callJob(service, slug, body);
    const id = answer.headers.get('job-run-id');
    return { status: answer.status, text: await answer.text(), row: JSON.stringify(id === null ? null : await BatchJobRun.find(id)) };
  }
  const isAlive = async () => (await fetch(`${service.url}/healthz`)).status === 200 && service.child.exitCode === null;

  it('answers for a RequestBody that refers to itself by a lazy, and for z.json(), and keeps what is marked out of the row', async () => {
    const { status, text, row } = await call('takes-any-json', { any: [{ deep: [1, null, 'x'] }], person: { name: 'canary', children: [{ name: 'canary', children: [] }] } });
    expect([status, text]).toEqual([200, '{"any":[{"deep":[1,null,"x"]}]}']);
    expect(row).toContain('"children":[{"name":"pii:');
    expect(row).not.toContain('canary');
    expect((await fetch(`${service.url}/jobs/takes-any-json`)).status).toBe(200);
    expect(await isAlive()).toBe(true);
  });

  it.each([
    ['makes-schemas-for-ever', { name: 'canary', children: [{ name: 'canary' }] }, /it makes new schemas for ever/],
    ['renames-what-is-marked', { mail: 'canary' }, /its RequestBody marks email .* mail would be stored in clear\. Mark on the input side/],
  ])('refuses %s as a job that cannot be loaded, says why in the log, keeps nothing of the body, and lives', async (slug, body, reason) => {
    const { status, text, row } = await call(slug, body);
    expect(status).toBe(500);
    expect(JSON.parse(text)).toMatchObject({ detail: 'The job cannot be loaded. The log names its file and the reason.' });
    expect(service.output()).toMatch(reason);
    expect(row).toContain('could not be loaded');
    expect(row + service.output()).not.toContain('canary');
    const listed = (await (await fetch(`${service.url}/jobs/${slug}`)).json()) as { status: string; error: string };
    expect(listed).toMatchObject({ status: 'broken', error: expect.stringMatching(reason) });
    expect(await isAlive()).toBe(true);
  });

  it('keeps a mark on a schema that another one is built on', async () => {
    const { status, row } = await call('builds-on-what-is-marked', { patient: { name: 'canary', phone: 'canary' }, contact: 'canary' });
    expect(status).toBe(200);
    expect(row).toMatch(/"contact":"pii:\w+","patient":"pii:/);
    expect(row).not.toContain('canary');
  });

  it('runs a job whose RequestBody is of another Zod, and keeps nothing of its body in clear', async () => {
    const { status, row } = await call('has-another-zod', { name: 'canary' });
    expect(status).toBe(200);
    expect(row).not.toContain('canary');
    expect(await knex('batch_job_run').where({ jobName: 'has-another-zod', status: 'succeeded' })).toHaveLength(1);
  });
});

describe('job check', () => {
  it('names the jobs whose marks cannot be kept, and what to write', async () => {
    const faults = await checkJobMarks({ folder: FOLDER, importFile: (file) => import(file), loadTimeoutMs: 5_000 });
    expect(faults).toEqual([
      { file: 'makes-schemas-for-ever.ts', line: undefined, rule: 'marks', problem: expect.stringMatching(/^Nobody can tell what its RequestBody marks .* Build it once, in a const/) },
      { file: 'renames-what-is-marked.ts', line: undefined, rule: 'marks', problem: expect.stringMatching(/^Its RequestBody marks email .* mail would be stored in clear\. Mark on the input side, by \.meta/) },
    ]);
  });

  it('finds nothing amiss in the jobs of src/jobs and in the templates', async () => {
    for (const folder of ['../../../jobs', '../../fixtures/templates']) {
      const looked: string[] = [];
      const importFile = (file: string) => (looked.push(file), import(file));
      expect(await checkJobMarks({ folder: path.resolve(__dirname, folder), importFile, loadTimeoutMs: 30_000 })).toEqual([]);
      expect(looked.length).toBeGreaterThan(9);
    }
  });

  it('passes over a job that cannot be loaded for another reason: list names it', async () => {
    const faults = await checkJobMarks({ folder: path.join(__dirname, '../../fixtures/jobs'), importFile: async () => { throw new Error('broken'); }, loadTimeoutMs: 5_000 });
    expect(faults).toEqual([]);
  });
});
