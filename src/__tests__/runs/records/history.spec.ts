import fc from 'fast-check';
import request from 'supertest';
import knex from '@commons/backend/lib/knex.js';
import { testApp } from '../../helpers/test-app.js';

const app = testApp();

interface ListedRun {
  id: string;
  jobName: string;
  status: string;
}

async function idsOf(path: string): Promise<string[]> {
  const { body } = await request(app).get(path).expect(200);
  return body.runs.map(({ id }: ListedRun) => id);
}

/** Ids of all pages, by following the links. */
async function walk(path: string): Promise<{ ids: string[]; pages: number }> {
  const ids: string[] = [];
  let pages = 0;
  for (let next: string | undefined = path; next !== undefined; pages++) {
    const answer: request.Response = await request(app).get(next).expect(200);
    ids.push(...answer.body.runs.map(({ id }: ListedRun) => id));
    next = /<([^>]+)>; rel="next"/.exec(answer.headers.link ?? '')?.[1];
  }
  return { ids, pages };
}

beforeAll(async () => {
  for (let n = 0; n < 12; n++) await request(app).post(`/jobs/${n % 3 === 0 ? 'throws' : 'no-op'}`).send({ message: `50%_reason ${n}` });
});

describe('GET /runs', () => {
  it('lists runs, newest first', async () => {
    const ids = await idsOf('/runs');
    expect(ids).toHaveLength(12);
    expect(ids).toEqual(ids.toSorted().toReversed());
  });

  it('walks page by page by its links, through every run once', async () => {
    const { ids, pages } = await walk('/runs?limit=5');
    expect(pages).toBe(3);
    expect(new Set(ids).size).toBe(12);
    expect((await walk('/runs?limit=4&status=failed')).ids).toHaveLength(4);
    expect((await walk('/runs?limit=1&job=no-op')).pages).toBe(8);
  });

  it('filters by job, status, time and text', async () => {
    expect(await idsOf('/runs?job=throws')).toHaveLength(4);
    expect(await idsOf('/runs?status=succeeded')).toHaveLength(8);
    expect(await idsOf('/runs?status=succeeded,failed&job=throws')).toHaveLength(4);
    expect(await idsOf('/runs?since=1h')).toHaveLength(12);
    expect(await idsOf(`/runs?since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([]);
    expect(await idsOf('/runs?q=REASON%203')).toHaveLength(1);
    expect(await idsOf('/runs?q=%25_')).toHaveLength(4);
  });

  it.each(['12h', '30d', '400d', '90s', '2026-01-01', '2026-01-01T00:00:00Z'])('takes %s for a time', async (since) => {
    await request(app).get(`/runs?since=${since}`).expect(200);
  });

  it.each(['job=%00', 'q=a%00b', 'since=%00', 'since=99999999999d', 'since=30', 'since=-1d', 'before=%00', 'status=%00', 'limit=%00'])('answers 400 to ?%s', async (query) => {
    await request(app).get(`/runs?${query}`).expect(400);
  });

  it('answers 200 or 400 to whatever a filter holds, and never 500', async () => {
    const filter = fc.constantFrom('job', 'status', 'since', 'q', 'before', 'limit', 'other', 'job[]', 'q[a]');
    const since = fc.tuple(fc.integer({ min: 0, max: 1_000_000 }), fc.constantFrom('ms', 's', 'm', 'h', 'd', '')).map((parts) => parts.join(''));
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\0', '%', '\\', "'", '-1'), since, fc.date({ noInvalidDate: true }).map((date) => date.toISOString()));
    await fc.assert(
      fc.asyncProperty(filter, text, async (name, value) => {
        const { status } = await request(app).get(`/runs?${name}=${new URLSearchParams({ value }).toString().slice('value='.length)}`);
        return status === 200 || status === 400;
      }),
      { numRuns: 150 },
    );
  });

  it('names every filter that is wrong', async () => {
    const { body } = await request(app).get('/runs?stauts=failed&status=done&since=yesterday&limit=0&before=x').expect(400);
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual(['stauts', 'status', 'since', 'before', 'limit']);
  });

  it('keeps bodies, results and stacks out of the list', async () => {
    const { body } = await request(app).get('/runs?job=throws&limit=1').expect(200);
    expect(body.runs[0]).toMatchObject({ jobName: 'throws', status: 'failed', httpStatus: 500, error: { name: 'Error' } });
    for (const field of ['body', 'result', 'error.stack', 'cursor']) expect(body.runs[0]).not.toHaveProperty(field);
    const { body: whole } = await request(app).get(`/runs/${body.runs[0].id}`).expect(200);
    for (const field of ['body.message', 'result', 'error.stack', 'cursor']) expect(whole).toHaveProperty(field);
  });

  it('reads a page without touching the runs before it', async () => {
    const plan = await knex.transaction(async (trx) => {
      // On a table as small as this one a scan of all of it is cheapest; what counts is that there is another way.
      await trx.raw('set local enable_seqscan = off; set local enable_bitmapscan = off');
      const { rows } = await trx.raw<{ rows: { 'QUERY PLAN': string }[] }>(
        `explain select id from batch_job_run where id < '018f0000-0000-7000-8000-000000000000' order by id desc limit 50`,
      );
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    });
    expect(plan).toMatch(/Index (Only )?Scan Backward using batch_job_run_pkey/);
  });
});

describe('GET /runs/:id', () => {
  it('shows all that is kept of the run', async () => {
    const [id] = await idsOf('/runs?job=throws&limit=1');
    const { body } = await request(app).get(`/runs/${id}`).expect(200);
    expect(body).toMatchObject({ id, jobName: 'throws', body: { message: expect.any(String) }, error: { name: 'Error', stack: expect.any(String) } });
  });

  it.each(['nonsense', '018f0000-0000-7000-8000-000000000000', '%00'])('answers 404 for %s', async (id) => {
    expect((await request(app).get(`/runs/${id}`)).status).toBe(404);
    expect((await request(app).get(`/runs/${id}/logs`)).status).toBe(404);
  });
});

describe('GET /jobs', () => {
  it('lists every job with its newest run, and broken ones as broken', async () => {
    const { body } = await request(app).get('/jobs').expect(200);
    const jobs = new Map<string, { status: string; error?: string; description?: string; newestRun: ListedRun | null }>(
      body.jobs.map((job: { slug: string }) => [job.slug, job]),
    );
    expect(jobs.get('no-op')).toMatchObject({ status: 'ok', newestRun: { jobName: 'no-op', status: 'succeeded' } });
    expect(jobs.get('with-schema')).toMatchObject({ description: 'Shows what the door makes of a body.', newestRun: null });
    expect(jobs.get('broken-no-default')!.status).toBe('broken');
  });

  it('shows one job with the schema of its body and its runs', async () => {
    const { body } = await request(app).get('/jobs/with-schema').expect(200);
    expect(body.requestBody).toMatchObject({ type: 'object', required: ['patientId'], properties: { isDryRun: { default: true } } });
    const noOp = await request(app).get('/jobs/no-op').expect(200);
    expect(noOp.body.runs).toHaveLength(8);
    expect(noOp.body.requestBody).toBeNull();
    await request(app).get('/jobs/no-such-job').expect(404);
  });
});

describe('content negotiation', () => {
  it('answers JSON to a program and to a browser, and says that it depends', async () => {
    const answer = await request(app).get('/runs').set('Accept', 'text/html,application/xhtml+xml,*/*;q=0.8').expect(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.headers.vary).toContain('Accept');
    await request(app).get('/jobs').set('Accept', 'image/png').expect(406);
  });
});
