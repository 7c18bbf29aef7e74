import { spawn } from 'node:child_process';
import path from 'node:path';
import fc from 'fast-check';
import request from 'supertest';
import { z, type ZodType } from 'zod';
import { dryRunWishIn } from '@commons/backend/runs/dry-run-wish.js';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import knex from '@commons/backend/lib/knex.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';
import { onlyFinished } from '@commons/backend/runs/run-result.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { built, builtProgram } from '../helpers/built-program.js';
import { waitUntil } from '../helpers/wait-until.js';
import { testApp } from '../helpers/test-app.js';

const app = testApp();

beforeAll(() => knex.raw('create table written (n int)'));
afterEach(() => knex('written').del());

const written = async (): Promise<number> => Number((await knex('written').count())[0]!.count);

describe('dryRunWishIn', () => {
  it.each([
    [{ isDryRun: true }, 'isDryRun'],
    [{ n: 1, dryRun: true }, 'dryRun'],
    [{ dry_run: 'true' }, 'dry_run'],
    [{ 'is-dry-run': 1 }, 'is-dry-run'],
    [{ ISDRYRUN: 'yes' }, 'ISDRYRUN'],
    [{ isDryRun: 'who knows' }, 'isDryRun'],
  ])('finds the wish in %j', (body, field) => {
    expect(dryRunWishIn(body)).toBe(field);
  });

  it.each([[{}], [{ isDryRun: false }], [{ isDryRun: 'false' }], [{ isDryRun: null }], [{ dryRun: 0 }], [{ isDryRun: ' OFF ' }], [{ dryRuns: true }], [{ isDryRunner: true }], ['isDryRun'], [['isDryRun']], [null], [undefined]])(
    'finds none in %j',
    (body) => {
      expect(dryRunWishIn(body)).toBeUndefined();
    },
  );
});

describe('a body that asks for a dry run', () => {
  it('is refused with a 400 that says so where the RequestBody drops the field', async () => {
    const answer = await request(app).post('/jobs/strips-dry-run').send({ isDryRun: true });
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toMatch(/asks for a dry run \(isDryRun\).*does not know that field.*nothing was run/);
    expect(await BatchJobRun.find(answer.headers['job-run-id']!)).toMatchObject({ status: 'failed', isDryRun: true });
    expect(await written()).toBe(0);
  });

  it('is refused where it says it otherwise than the job knows it', async () => {
    const answer = await request(app).post('/jobs/writes').send({ dryRun: true });
    expect(answer.status).toBe(400);
    expect(answer.body.detail).toMatch(/\(dryRun\).*Did you mean isDryRun\?/);
  });

  it('is a dry run where the RequestBody gives the field another name', async () => {
    const answer = await request(app).post('/jobs/renames-dry-run').send({ isDryRun: true });
    expect(answer.status).toBe(500);
    expect(answer.body.detail).toMatch(/A dry run may not write, and the job tried INSERT INTO written/);
    expect(await BatchJobRun.find(answer.headers['job-run-id']!)).toMatchObject({ isDryRun: true });
    expect(await written()).toBe(0);
  });

  it('is a dry run in a rehearsal, which then goes no further', async () => {
    const answer = await request(app).post('/jobs/renames-dry-run/rehearse').send({});
    expect(answer.status).toBe(422);
    expect(answer.body.steps).toMatchObject([{ step: 'dry run', verdict: 'failed' }]);
    expect(await written()).toBe(0);
    expect((await request(app).post('/jobs/strips-dry-run/rehearse').send({})).status).toBe(400);
    expect(await written()).toBe(0);
  });

  it.each(['?isDryRun=true', '?dryRun', '?dry-run=1', '?x=1&is_dry_run=yes', '?isDryRun=', '?isDryRun=true&isDryRun=false'])(
    'is refused in the address (%s), with no run',
    async (query) => {
      for (const route of ['/jobs/strips-dry-run', '/jobs/strips-dry-run/rehearse', '/scripts/strips-dry-run']) {
        const answer = await request(app).post(`${route}${query}`).send({});
        expect(answer.status).toBe(400);
        expect(answer.body.detail).toMatch(/Add "isDryRun": true to the body/);
        expect(answer.headers['job-run-id']).toBeUndefined();
      }
      expect(await written()).toBe(0);
    },
  );

  it('runs for real where it plainly says no', async () => {
    expect((await request(app).post('/jobs/strips-dry-run?isDryRun=false').send({ isDryRun: false })).status).toBe(200);
    expect((await request(app).post('/jobs/renames-dry-run').send({ isDryRun: false })).status).toBe(200);
    expect(await written()).toBe(2);
  });

  it('makes a dry run of what a job traps', async () => {
    const trapped = BatchJobRun.trap('sub', () => knex('written').insert({ n: 1 }), { body: { isDryRun: true } });
    await expect(trapped).rejects.toMatchObject({ name: 'DryRunWrite' });
    expect(await written()).toBe(0);
  });

  it.each([[true, 0], [false, 0]])('writes nothing by the code of what the job returned or reported (isDryRun: %s)', async (isDryRun, rows) => {
    const write = () => void knex('written').insert({ n: 1 }).then(() => attempts.push('written'), (error: Error) => attempts.push(error.name));
    const attempts: string[] = [];
    const job: Job = {
      slug: 'any-schema',
      file: 'any-schema.ts',
      load: () => ({
        RequestBody: undefined, config: {}, timeoutMs: undefined,
        async handler() {
          currentRun().progress({ get total() { return write(), 1; } });
          return { toJSON: () => (write(), 1) } as never;
        },
      }),
    };
    await runJob(job, { trigger: 'http', body: { isDryRun } });
    await waitUntil('both were tried', () => attempts.length >= 2);
    // By then the run is over, for its database: a write would be counted by nobody.
    expect(new Set(attempts)).toEqual(new Set(['RunStopped']));
    expect(await written()).toBe(rows);
  });

  it('is not for a rehearsal, which does the real run too', async () => {
    for (const body of [{ isDryRun: true }, { dryRun: true }]) {
      const answer = await request(app).post('/jobs/renames-dry-run/rehearse').send(body);
      expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining('a rehearsal also does the real run')]);
    }
    expect(await written()).toBe(0);
  });

  it('is refused on the command line too', async () => {
    const root = path.resolve(__dirname, '../../..');
    const env = { ...process.env, JOBS_FOLDER: built('src/__tests__/fixtures/jobs'), NO_COLOR: '1' };
    const child = spawn(process.execPath, builtProgram('src/cli.ts', 'run', 'strips-dry-run', '--body', '{"isDryRun":true}'), { cwd: root, env });
    let stderr = '';
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(stderr).toMatch(/asks for a dry run \(isDryRun\)/);
    expect(code).toBe(1);
    expect(await written()).toBe(0);
  });
});

describe('whatever the RequestBody does', () => {
  const n = z.number().default(1);
  const bases: ZodType[] = [
    z.object({ n }), z.looseObject({ n }), z.object({ n, isDryRun: z.boolean() }), z.object({ n, isDryRun: z.boolean().transform(() => false) }),
    z.object({ n, isDryRun: z.boolean().default(false).catch(false) }), z.object({ n, dryRun: z.boolean().default(false) }), z.record(z.string(), z.unknown()), z.any(),
    z.union([z.object({ n }), z.object({ isDryRun: z.boolean() })]), z.object({ n }).and(z.object({ isDryRun: z.boolean() })), z.object({}), z.unknown(),
  ];
  const wrappers: ((schema: ZodType) => ZodType)[] = [
    (schema) => schema,
    (schema) => schema.transform((body) => ({ ...(body as object), isDryRun: false })),
    (schema) => schema.transform((body) => ({ preview: (body as { isDryRun?: boolean } | undefined)?.isDryRun })),
    (schema) => schema.transform(() => undefined),
    // Changes the very body that the door was given.
    (schema) => z.preprocess((body) => { delete (body as { isDryRun?: boolean }).isDryRun; return body; }, schema),
    (schema) => z.preprocess((body) => ({ ...(body as object), isDryRun: false }), schema),
    (schema) => schema.catch({}),
    (schema) => schema.optional(),
    (schema) => z.lazy(() => schema),
    (schema) => schema.pipe(z.any()),
    (schema) => schema.refine(() => true),
  ];
  const jobWith = (RequestBody: ZodType | undefined): Job => ({
    slug: 'any-schema',
    file: 'any-schema.ts',
    load: () => ({ RequestBody, config: {}, timeoutMs: undefined, handler: async () => { await knex('written').insert({ n: 1 }); } }),
  });

  it('no body with a true isDryRun ever writes', async () => {
    const schemas = fc.option(
      fc.tuple(fc.constantFrom(...bases), fc.array(fc.constantFrom(...wrappers), { maxLength: 3 })).map(([base, layers]) => layers.reduce((schema, wrap) => wrap(schema), base)),
      { nil: undefined, freq: 12 },
    );
    const bodies = fc.dictionary(fc.string({ maxLength: 5 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(schemas, bodies, async (schema, body) => {
        const run = onlyFinished(await runJob(jobWith(schema), { trigger: 'http', body: { ...body, isDryRun: true } }));
        expect(['failed']).toContain(run.outcome.status);
        expect(await written()).toBe(0);
        expect(await BatchJobRun.find(run.id)).toMatchObject({ isDryRun: true });
      }),
      { numRuns: 250 },
    );
  });

  it('and one without writes (so that the property above can fail)', async () => {
    const run = await runJob(jobWith(z.object({ n })), { trigger: 'http', body: { n: 2 } });
    expect(run).toMatchObject({ outcome: { status: 'succeeded' } });
    expect(await written()).toBe(1);
  });
});

afterAll(() => knex.destroy());
