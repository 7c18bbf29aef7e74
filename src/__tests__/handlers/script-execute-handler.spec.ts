import request from 'supertest';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { testApp } from '../helpers/test-app.js';

const app = testApp();

/** POSTs to a job; returns the answer and the row of its run. */
async function post(slug: string, body: object = {}) {
  const answer = await request(app).post(`/jobs/${slug}`).send(body);
  const run = answer.headers['job-run-id'] === undefined ? undefined : await BatchJobRun.find(answer.headers['job-run-id']);
  return { answer, run };
}

describe('POST /jobs/:slug', () => {
  it('answers 200 with what the job returned, and records the run', async () => {
    const { answer, run } = await post('echo', { a: 1 });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({ echo: { a: 1 } });
    expect(answer.headers.location).toBe(`/runs/${run!.id}`);
    expect(run).toMatchObject({
      jobName: 'echo', status: 'succeeded', trigger: 'http', attempt: 1, isDryRun: false, httpStatus: 200,
      body: { a: 1 }, result: { echo: { a: 1 } }, error: null,
    });
    expect(run!.startedAt!.getTime()).toBeLessThanOrEqual(run!.finishedAt!.getTime());
  });

  it('answers 204 when the job returns nothing', async () => {
    const { answer, run } = await post('returns-nothing');
    expect(answer.status).toBe(204);
    expect(answer.text).toBe('');
    expect(run).toMatchObject({ status: 'succeeded', httpStatus: 204, result: null });
  });

  it('runs the house templates as they stand', async () => {
    const { answer } = await post('job-name', { exampleParam: 'x' });
    expect(answer.body).toEqual({ processed: 0, succeeded: 0, failed: 0 });
    const { answer: refused, run } = await post('job-name', {});
    expect(refused.status).toBe(400);
    expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(refused.body).toEqual({
      type: 'about:blank', title: 'Bad Request', status: 400, detail: 'Invalid request body', instance: `/runs/${run!.id}`, runId: run!.id,
    });
    expect(run).toMatchObject({ status: 'failed', httpStatus: 400 });
  });

  it('checks the body against an exported RequestBody first: the 400 lists every issue, and is a failed run', async () => {
    const { answer, run } = await post('with-schema', { patientId: 'hunter2', filters: [{ state: 'Ohio' }] });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path }: { path: string }) => path)).toEqual(['patientId', 'filters.0.state']);
    expect(answer.text).not.toContain('hunter2');
    expect(run).toMatchObject({ status: 'failed', httpStatus: 400, jobName: 'with-schema' });
  });

  it('hands the job the body as it came, and takes isDryRun from the schema\'s default', async () => {
    const { answer, run } = await post('with-schema', { patientId: 1 });
    expect(answer.body).toEqual({ body: { patientId: 1 }, isDryRun: true });
    expect(run).toMatchObject({ isDryRun: true });
  });

  it('gives the status of a StatusError, with an object as data, and records a failure', async () => {
    const { answer, run } = await post('throws', { status: 409, data: { taskId: 7 } });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({ title: 'Conflict', data: { taskId: 7 } });
    expect(run).toMatchObject({ status: 'failed', httpStatus: 409 });
  });

  it('gives the status of an AcceptableError, and records a success', async () => {
    const { answer, run } = await post('throws', { status: 409, data: 'nothing to do', acceptable: true });
    expect(answer.status).toBe(409);
    expect(run).toMatchObject({ status: 'succeeded', httpStatus: 409 });
  });

  it('answers any other error with an opaque 500, and keeps the error with the run', async () => {
    const { answer, run } = await post('throws', { message: 'a secret reason' });
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('secret');
    expect(run).toMatchObject({ status: 'failed', httpStatus: 500, errorName: 'Error', errorMessage: 'a secret reason' });
    expect(String(run!.error!.stack)).toContain('throws.ts');
  });

  it('answers 404 for an unknown job, and records nothing', async () => {
    const before = await BatchJobRun.list({ limit: 1 });
    const { answer, run } = await post('no-such-job');
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(run).toBeUndefined();
    expect(await BatchJobRun.list({ limit: 1 })).toEqual(before);
  });

  it.each(['broken-no-default', 'broken-not-a-function', 'broken-top-level', 'broken-config'])('answers 500 for %s, on the record, and others go on', async (slug) => {
    const { answer, run } = await post(slug);
    expect(answer.status).toBe(500);
    expect(answer.body.detail).toBe('The job cannot be loaded. The log names its file and the reason.');
    expect(run).toMatchObject({ status: 'failed', httpStatus: 500 });
    expect((await post('no-op')).answer.status).toBe(200);
  });

  it('answers 504 at the job\'s timeout, and a late end changes nothing', async () => {
    const { answer, run } = await post('never-settles');
    expect(answer.status).toBe(504);
    expect(run).toMatchObject({ status: 'timed_out', httpStatus: 504 });
    const late = await post('settles-late');
    expect(late.answer.status).toBe(504);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await BatchJobRun.find(late.run!.id)).toMatchObject({ status: 'timed_out', result: null });
  });

  it('runs the old paths too, and says which is the new one', async () => {
    for (const path of ['/scripts/echo', '/cron/echo']) {
      const answer = await request(app).post(path).send({ a: 1 });
      expect(answer.status).toBe(200);
      expect(answer.headers.deprecation).toBe('@1795392000');
      expect(answer.headers.link).toBe('</jobs/echo>; rel="successor-version"');
    }
    expect((await request(app).post('/jobs/echo').send({})).headers.deprecation).toBeUndefined();
  });
});

describe('what a job returns', () => {
  it.each([
    ['bigint', { n: '12345678901234567890' }],
    ['date', { at: '1970-01-01T00:00:00.000Z' }],
    ['map', [['a', 1]]],
    ['set', [1, 2]],
    ['circle', { name: 'circle', self: '[Circular]' }],
    ['nan', { n: null }],
    ['null', null],
  ])('sends and stores %s', async (kind, expected) => {
    const { answer, run } = await post('returns', { kind });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(expected);
    expect(run).toMatchObject({ status: 'succeeded' });
    expect(run!.result).toEqual(expected);
  });

  it.each([
    ['nul', { text: 'a\ufffdb' }],
    ['surrogate', { text: 'a\ufffdb' }],
  ])('stores %s as far as Postgres takes it', async (kind, stored) => {
    const { answer, run } = await post('returns', { kind });
    expect(answer.status).toBe(200);
    expect(run).toMatchObject({ status: 'succeeded', result: stored });
  });

  it('sends a huge value whole, and stores it cut with its size', async () => {
    const { answer, run } = await post('returns', { kind: 'huge' });
    expect(answer.body).toHaveLength(3_000_000);
    expect(run).toMatchObject({ status: 'succeeded', result: { truncated: true, bytes: 3_000_002 } });
  });

  it('sends what is nested too deep for Postgres, and stores a note', async () => {
    const { answer, run } = await post('returns', { kind: 'deep' });
    expect(answer.status).toBe(200);
    expect(answer.text).toBe(`${'['.repeat(3_000)}"bottom"${']'.repeat(3_000)}`);
    expect(run).toMatchObject({ status: 'succeeded', result: { tooDeep: true } });
  });

  it('answers 500 for a toJSON that throws', async () => {
    const { answer, run } = await post('returns', { kind: 'throwingToJson' });
    expect(answer.status).toBe(500);
    expect(run).toMatchObject({ status: 'failed', errorMessage: 'toJSON throws' });
  });
});

describe('what a job throws', () => {
  it.each(['undefined', 'null', 'string', 'object', 'frozen', 'circular', 'getter', 'proxy', 'huge', 'status999', 'statusText', 'status204', 'acceptable999', 'nul'])(
    'records %s, and answers an opaque 500',
    async (kind) => {
      const { answer, run } = await post('throws-hostile', { kind });
      expect(answer.status).toBe(500);
      expect(answer.body).toMatchObject({ status: 500, detail: 'The job failed. Its run says how.' });
      expect(run).toMatchObject({ status: 'failed', httpStatus: 500 });
      expect(typeof run!.error!.message).toBe('string');
      expect(JSON.stringify(run!.error).length).toBeLessThan(100_000);
    },
  );

  it('keeps the status of a StatusError whose data cannot be sent', async () => {
    const { answer, run } = await post('throws-hostile', { kind: 'badData' });
    expect(answer.status).toBe(422);
    expect(run).toMatchObject({ status: 'failed', httpStatus: 422 });
  });
});

describe('the log of a run', () => {
  it('keeps every line with the run, whatever was logged', async () => {
    const { run } = await post('logs', { lines: 3 });
    const { body } = await request(app).get(`/runs/${run!.id}/logs`).expect(200);
    expect(body.lines.map(({ message }: { message: string }) => message)).toEqual(['line 1', 'line 2', 'line 3', 'hard to log', 'a logged error']);
    expect(body.lines[0]).toMatchObject({ attempt: 1, level: 'info', tag: 'logs', data: { n: 1 } });
    expect(body.lines[3]).toMatchObject({ level: 'warn', data: { big: '10', error: { message: 'inner' } } });
  });

  it('comes page by page, and as NDJSON in one piece', async () => {
    const { run } = await post('logs', { lines: 1_500 });
    const first = await request(app).get(`/runs/${run!.id}/logs`);
    expect(first.body.lines).toHaveLength(1_000);
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.link!)![1]!;
    const second = await request(app).get(next);
    expect(second.body.lines).toHaveLength(502);
    expect(second.headers.link).toBeUndefined();
    const all = await request(app).get(`/runs/${run!.id}/logs`).set('Accept', 'application/x-ndjson').buffer(true).parse((res, done) => {
      let text = '';
      res.on('data', (part: Buffer) => (text += part.toString()));
      res.on('end', () => done(null, text));
    });
    const lines = String(all.body).trimEnd().split('\n').map((line) => JSON.parse(line));
    expect(lines).toEqual([...first.body.lines, ...second.body.lines]);
  });
});
