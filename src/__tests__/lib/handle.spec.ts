import supertest from 'supertest';
import { z } from 'zod';
import { handle } from '@commons/backend/lib/handle.js';
import { loadJob } from '@commons/backend/lib/job-files/module.js';
import type { Job, JobRegistry } from '@commons/backend/lib/job-files/registry.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { buildRequest } from '../helpers/build-request.js';
import { testApp } from '../helpers/test-app.js';
import { TestRun } from '../helpers/test-scope.js';

const parse = jest.fn((text: string) => text.length);
const RequestBody = z.object({ name: z.string().transform(parse), limit: z.number().default(100), isDryRun: z.boolean().default(false) });

const greets = handle(RequestBody, async ({ name, limit, isDryRun }, run) => ({ length: name, limit, isDryRun, runId: run.id }));

/** The app with one job: the module of a job file. */
const appWith = (module: object) => {
  const job: Job = { slug: 'greet-people', file: 'greet-people.ts', load: () => loadJob('greet-people.ts', Promise.resolve(module)) };
  const registry: JobRegistry = { find: (slug) => (slug === job.slug ? job : undefined), list: () => [job], faults: () => [] };
  return testApp(registry);
};

describe('a job by handle()', () => {
  beforeEach(() => parse.mockClear());

  it('gets the body as its RequestBody makes it, defaults and transforms included, parsed once', async () => {
    const { body } = await supertest(appWith({ default: greets, RequestBody })).post('/jobs/greet-people').send({ name: 'Ada' }).expect(200);
    expect(body).toEqual({ length: 3, limit: 100, isDryRun: false, runId: expect.any(String) });
    expect(parse).toHaveBeenCalledTimes(1);
    expect(await BatchJobRun.find(body.runId as string)).toMatchObject({ status: 'succeeded', body: { name: 'Ada' } });
  });

  it('needs to export no RequestBody: the service takes the one it handles', async () => {
    const answer = await supertest(appWith({ default: greets })).post('/jobs/greet-people').send({ name: 7 }).expect(400);
    expect(answer.body).toMatchObject({ errors: [{ path: 'name' }] });
    const { body } = await supertest(appWith({ default: greets })).post('/jobs/greet-people').send({ name: 'Ada', isDryRun: true }).expect(200);
    expect(body).toMatchObject({ isDryRun: true });
    expect(await BatchJobRun.find(body.runId as string)).toMatchObject({ isDryRun: true });
  });

  it('parses by its own schema where the file exports another one', async () => {
    const app = appWith({ default: greets, RequestBody: z.object({ name: z.string() }).loose() });
    const { body } = await supertest(app).post('/jobs/greet-people').send({ name: 'Ada', limit: 5 }).expect(200);
    expect(body).toMatchObject({ length: 3, limit: 5 });
  });

  it('parses its body when it is called by itself, and refuses one that does not fit with 400', async () => {
    await expect(new TestRun({ id: '1' }).do(() => greets(buildRequest({ name: 'Grace' })))).resolves.toEqual({ length: 5, limit: 100, isDryRun: false, runId: '1' });
    await expect(greets(buildRequest({ name: 'Grace', limit: 'all' }))).rejects.toMatchObject({ status: 400, details: { errors: [{ path: 'limit' }] } });
  });

  it('may be called outside a run as long as it does not ask for it, and then says what to do', async () => {
    const counts = handle(z.object({ n: z.number().default(2) }), async ({ n }) => n);
    await expect(counts(buildRequest({}))).resolves.toBe(2);
    await expect(greets(buildRequest({ name: 'Ada' }))).rejects.toThrow(/asked its run for id, and there is none: in a spec, call it inside inRun\(\)/);
  });
});
