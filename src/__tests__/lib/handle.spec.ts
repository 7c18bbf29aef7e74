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

  it('is broken where its file exports another RequestBody: what that marks as personal would be kept', async () => {
    const module = { default: greets, RequestBody: z.object({ name: z.string() }).loose() };
    await expect(loadJob('greet-people.ts', Promise.resolve(module))).rejects.toMatchObject({
      cause: { message: expect.stringContaining('it exports another RequestBody than the one it gives to handle(). Write: export default handle(RequestBody, ...)') },
    });
  });

  it('keeps what is personal out of its row, as the older form does', async () => {
    const marked = z.object({ ssn: z.string().meta({ secret: true }).transform((text) => `#${text}`), note: z.string() });
    const tells = handle(marked, async ({ ssn }, run) => ({ ssn, runId: run.id }));
    const { body } = await supertest(appWith({ default: tells })).post('/jobs/greet-people').send({ ssn: '078-05-1120', note: 'x' }).expect(200);
    expect(body.ssn).toBe('#078-05-1120');
    const run = await BatchJobRun.find(body.runId as string);
    expect(JSON.stringify([run!.body, run!.result])).not.toContain('078-05-1120');
    expect(run!.body).toMatchObject({ note: 'x' });
  });

  it('waits for a RequestBody that asks others, and is dry for whoever asks for that', async () => {
    const asks = handle(z.object({ id: z.number().refine(async (id) => id > 0), isDryRun: z.boolean().default(false) }), async ({ isDryRun }, run) => ({ isDryRun, own: run.isDryRun }));
    const app = appWith({ default: asks });
    await supertest(app).post('/jobs/greet-people').send({ id: 0 }).expect(400);
    const { body } = await supertest(app).post('/jobs/greet-people').send({ id: 1, isDryRun: true }).expect(200);
    expect(body).toEqual({ isDryRun: true, own: true });
  });

  it.each<[string, unknown[]]>([['no RequestBody', [async () => 1]], ['no work', [RequestBody]]])('made with %s shows the right call', (_what, args) => {
    expect(() => (handle as (...all: unknown[]) => unknown)(...args)).toThrow('handle takes a Zod schema, then the work: handle(RequestBody, async (body, run) => {...})');
  });

  it('parses its body when it is called by itself, and refuses one that does not fit with 400', async () => {
    await expect(new TestRun({ id: '1' }).do(() => greets(buildRequest({ name: 'Grace' })))).resolves.toEqual({ length: 5, limit: 100, isDryRun: false, runId: '1' });
    await expect(greets(buildRequest({ name: 'Grace', limit: 'all' }))).rejects.toMatchObject({ status: 400, details: { errors: [{ path: 'limit' }] } });
  });

  it('may be called outside a run, where nobody stops it, and says what to do when it asks that run for more', async () => {
    const counts = handle(z.object({ n: z.number().default(2) }), async ({ n }) => n);
    await expect(counts(buildRequest({}))).resolves.toBe(2);
    const heeds = handle(z.object({}), async (_body, run) => run.signal.aborted);
    await expect(heeds(buildRequest({}))).resolves.toBe(false);
    await expect(greets(buildRequest({ name: 'Ada' }))).rejects.toThrow(/asked its run for id, and there is none: in a spec, call it inside inRun\(\)/);
  });
});
