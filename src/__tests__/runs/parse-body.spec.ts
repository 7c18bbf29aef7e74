import { z } from 'zod';
import * as z3 from 'zod/v3';
import type { ZodType } from 'zod';
import { bodyDoesNotFit, parseBody } from '@commons/backend/runs/parse-body.js';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { BatchJobRunLog } from '@commons/backend/models/batch-job-run-log.js';

afterAll(() => knex.destroy());

describe('parseBody', () => {
  it.each<[string, ZodType, unknown]>([
    ['an object', z.object({ a: z.number(), b: z.string().default('x') }), { a: 1 }],
    ['a transform', z.string().transform((text) => text.length), 'four'],
    ['an async refinement', z.object({ a: z.number().refine(async (n) => n > 1, 'too small') }), { a: 1 }],
    ['several issues', z.object({ a: z.number(), b: z.array(z.string()) }), { a: 'x', b: [1, 2] }],
    ['a message of its own', z.object({ a: z.number({ error: 'a number, please' }) }), {}],
    ['a union', z.union([z.object({ a: z.number() }), z.string()]), { a: 'x' }],
    ['strict', z.strictObject({ a: z.number() }), { a: 1, c: 2 }],
    ['the schema of another Zod', z3.z.object({ a: z3.z.number() }) as unknown as ZodType, { a: 'x' }],
  ])('says of %s what Zod says', async (_, schema, body) => {
    const expected = await schema.safeParseAsync(body);
    expect(await parseBody(schema, body)).toEqual(expected.success ? { data: expected.data } : { count: expected.error.issues.length, issues: expected.error.issues });
  });

  const Rows = z.object({ rows: z.array(z.object({ a: z.number(), b: z.string(), c: z.boolean() })) });

  it('tells 100 of many faults, and how many there are', async () => {
    const result = await parseBody(Rows, { rows: Array.from({ length: 10_000 }, () => ({})) });
    if ('data' in result) throw new Error('it does not fit');
    expect([result.count, result.issues.length]).toEqual([30_000, 100]);
    expect(bodyDoesNotFit(result)).toMatchObject({ status: 400, message: 'The body does not fit. It has 30000 faults, of which the first 100 are listed.' });
  });
});

it('is a 400 too where there are more faults than Zod can count', async () => {
  const Rows = z.object({ rows: z.array(z.object({ a: z.number(), b: z.string(), c: z.boolean() })) });
  await expect(parseBody(Rows, { rows: Array.from({ length: 300_000 }, () => ({})) })).rejects.toMatchObject({ status: 400, message: expect.stringContaining('too many faults') });
});

describe('what a schema makes of personal data', () => {
  const Pii = z.string().meta({ pii: true });
  it.each<[string, ZodType, unknown, string]>([
    ['JSON in a text', z.object({ v: z.string().meta({ pii: true }).transform((text) => JSON.parse(text) as unknown).pipe(z.object({ name: Pii })) }), { v: '{"name":"Zaphod Json"}' }, 'Zaphod Json'],
    ['a number in a text', z.object({ v: z.coerce.number().meta({ pii: true }) }), { v: '0042424.50' }, '42424.5'],
    ['another case of letters', z.object({ v: Pii.pipe(z.string().toUpperCase()) }), { v: 'Zaphod Strauß' }, 'ZAPHOD STRAUSS'],
    ['another form of letters', z.object({ v: z.string().normalize('NFC').meta({ pii: true }) }), { v: 'Zaphod Jose\u0301' }, 'Zaphod Jos\u00e9'],
    ['a field that a loose object does not name', z.object({ name: Pii, age: z.number().optional() }).loose(), { name: 'Ada', NAME: 'Zaphod Loose' }, 'Zaphod Loose'],
  ])('is in no row and no log: %s', async (_, RequestBody, body, canary) => {
    const job: Job = {
      slug: 'tells-all', file: 'tells-all.ts',
      load: () => ({ RequestBody, config: {}, timeoutMs: undefined, async handler(req) {
        const parsed = await RequestBody.parseAsync(req.body);
        logger.log(`got ${JSON.stringify(parsed)}`, 'tells-all', { parsed });
        return { parsed } as never;
      } }),
    };
    const run = await runJob(job, { trigger: 'http', body });
    expect(run).toMatchObject({ outcome: { status: 'succeeded' } });
    const kept = JSON.stringify([await BatchJobRun.find(run.id), await BatchJobRunLog.listLines(run.id, { after: undefined, limit: 10 })]);
    expect(kept).toContain('[Personal]');
    expect(kept).not.toContain(canary);
  });
});
