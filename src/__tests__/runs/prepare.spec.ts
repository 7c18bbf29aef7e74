import { z } from 'zod';
import type { ScriptHandler } from '@commons/backend/jobs/helpers.js';
import type { LoadedJob } from '@commons/backend/lib/job-files/module.js';
import type { Job } from '@commons/backend/lib/job-files/registry.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { prepareRun } from '@commons/backend/runs/prepare.js';
import { runJob } from '@commons/backend/runs/run-job.js';
import { onlyFinished } from '@commons/backend/runs/run-result.js';
import { testRegistry } from '../helpers/test-app.js';

const handler = jest.fn<ReturnType<ScriptHandler>, Parameters<ScriptHandler>>(async (req) => ({ got: req.body as never }));
const jobOf = (loaded: Partial<LoadedJob> = {}): Job => ({
  slug: 'is-prepared', file: 'is-prepared.ts', load: () => ({ handler, RequestBody: undefined, config: {}, timeoutMs: undefined, ...loaded }),
});
const CALL = { trigger: 'http', body: { n: 'x' } } as const;
const runsOf = (jobName: string) => BatchJobRun.list({ jobName, limit: 10 });

beforeEach(() => handler.mockClear());

describe('a run that is prepared', () => {
  it('is no run yet: nothing is on record, and its handler was not called', async () => {
    const { start, work } = await prepareRun(jobOf({ timeoutMs: 7_000, config: { overlap: 'skip', countWrites: 'exact' } }), CALL);
    expect(start).toMatchObject({ trigger: 'http', body: CALL.body, isDryRun: false, timeoutMs: 7_000, overlap: 'skip', countWrites: 'exact' });
    expect(work).toEqual({ perform: expect.any(Function) });
    expect(handler).not.toHaveBeenCalled();
    expect(await runsOf('is-prepared')).toEqual([]);
  });

  it('gives its handler the body as it came, whatever its RequestBody makes of it, and a request where there is none', async () => {
    const RequestBody = z.object({ n: z.string().transform((text) => text.length) });
    const { outcome } = onlyFinished(await runJob(jobOf({ RequestBody }), { ...CALL, body: { n: 'four' } }));
    expect(outcome.text).toBe('{"got":{"n":"four"}}');
    expect(handler.mock.calls[0]![0]).toMatchObject({ method: 'POST', path: '/jobs/is-prepared', params: { slug: 'is-prepared' }, headers: {} });
  });

  it.each([
    ['the body as it came', z.object({ isDryRun: z.boolean() }), { isDryRun: true }],
    ['what its RequestBody makes of the body', z.object({ isDryRun: z.boolean().default(true) }), {}],
  ])('is dry when %s says so', async (_what, RequestBody, body) => {
    expect((await prepareRun(jobOf({ RequestBody }), { trigger: 'http', body })).start.isDryRun).toBe(true);
  });

  it('is not, and nothing of its body is looked at, when its job is not for the caller', async () => {
    const parse = jest.fn();
    const by = { name: 'eve@example.com', isVerified: true, source: undefined, caller: { email: 'eve@example.com', isVerified: true } } as never;
    const job = jobOf({ config: { callers: ['ann@example.com'] }, RequestBody: z.object({ n: z.string().refine(parse) }) });
    await expect(prepareRun(job, { ...CALL, by })).rejects.toMatchObject({ status: 403 });
    expect(parse).not.toHaveBeenCalled();
  });
});

describe('a fault that is found while a run is prepared', () => {
  it('of a job that cannot be loaded is the work, and a failed run; of its body nothing is kept, since nobody knows what is personal', async () => {
    const job = testRegistry().find('broken-no-default')!;
    const { start, work } = await prepareRun(job, CALL);
    expect(work).toEqual({ fault: expect.objectContaining({ status: 500, message: expect.stringContaining('cannot be loaded') }) });
    expect(start.kept).toMatchObject({ isRedacted: true, text: expect.not.stringContaining('"x"') });
    const { outcome } = onlyFinished(await runJob(job, CALL));
    expect(outcome).toMatchObject({ status: 'failed', httpStatus: 500 });
    expect(await runsOf('broken-no-default')).toMatchObject([{ status: 'failed', httpStatus: 500 }]);
  });

  it('of a body that does not fit is the work, and a failed run that says which field; its handler is not called', async () => {
    const job = jobOf({ RequestBody: z.object({ n: z.number() }) });
    const { work } = await prepareRun(job, CALL);
    expect(work).toEqual({ fault: expect.objectContaining({ status: 400 }) });
    const { id, outcome } = onlyFinished(await runJob(job, CALL));
    expect(outcome).toMatchObject({ status: 'failed', httpStatus: 400, problem: { errors: [expect.objectContaining({ path: 'n' })] } });
    expect(await BatchJobRun.find(id)).toMatchObject({ status: 'failed', httpStatus: 400, error: { errors: [{ path: 'n' }] } });
    expect(handler).not.toHaveBeenCalled();
  });

  it('of a body that asks for a dry run which the job does not know is the work', async () => {
    const { work, start } = await prepareRun(jobOf({ RequestBody: z.object({}) }), { trigger: 'http', body: { dryRun: true } });
    expect(work).toEqual({ fault: expect.objectContaining({ status: 400, message: expect.stringContaining('dryRun') }) });
    expect(start.isDryRun).toBe(true);
  });

  it('keeps the lines that its RequestBody logged, for its run', async () => {
    const { default: logger } = await import('@commons/backend/lib/logging.js');
    const RequestBody = z.object({ n: z.string().refine(() => {
      logger.log('looked at it', 'check');
      return false;
    }) });
    const { id } = onlyFinished(await runJob(jobOf({ RequestBody }), CALL));
    const { default: knex } = await import('@commons/backend/lib/knex.js');
    expect(await knex('batch_job_run_log').where({ runId: id }).pluck('message')).toContain('looked at it');
  });
});
