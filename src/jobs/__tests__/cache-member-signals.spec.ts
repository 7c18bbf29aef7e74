import { execFile } from 'node:child_process';
import path from 'node:path';
import supertest from 'supertest';
import { type BigQueryServer, startBigQueryServer } from '@commons/backend/__tests__/helpers/bigquery-server.js';
import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { builtProgram } from '@commons/backend/__tests__/helpers/built-program.js';
import { memberSignalFactory } from '@commons/backend/__tests__/helpers/factories/member-signal-factory.js';
import { testApp, testRegistry } from '@commons/backend/__tests__/helpers/test-app.js';
import { waitUntil } from '@commons/backend/__tests__/helpers/wait-until.js';
import * as bigquery from '@commons/backend/apis/bigquery/bigquery-client.js';
import main, { cacheMemberSignals } from '@commons/backend/jobs/cache-member-signals.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { packageRoot } from '@commons/backend/lib/process/package-root.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';

jest.mock('@commons/backend/lib/logging.js');
jest.mock('@commons/backend/apis/bigquery/bigquery-client.js');

const NOON = '2026-01-31T12:00:00.000Z';
const EARLIER = '2026-01-31T11:00:00.000Z';
const LATER = '2026-01-31T13:00:00.000Z';

const row = (memberId: string, value: unknown = 5.5, observedAt: unknown = NOON) => ({ memberId, value, observedAt });

/** What the warehouse has of each signal, and the one in which it fails after what it has. */
let warehouse: Record<string, unknown[]>;
let failing: string | undefined;

async function* stream({ params }: { params?: unknown }) {
  const { signal } = params as { signal: string };
  yield* warehouse[signal] ?? [];
  if (signal === failing) throw new Error('BigQuery: backend error');
}

const rows = () => knex('member_signal').orderBy(['memberId', 'signal']);
/** Which version of each row is there, by the system columns that every write and every lock changes. */
const rowVersions = () => knex('member_signal').select('*').select(knex.raw('xmin::text, xmax::text, ctid::text')).orderBy(['memberId', 'signal']);
const subRuns = async () => knex('batch_job_run').select('jobName', 'status', 'isDryRun', 'body').whereLike('jobName', 'cache-member-signals-%').orderBy('jobName');

beforeEach(async () => {
  warehouse = {};
  failing = undefined;
  jest.mocked(logger.error).mockReset();
  jest.mocked(bigquery.getBigQueryClient).mockReset();
  jest.mocked(bigquery.streamResults).mockReset().mockImplementation(stream as never);
  await knex('member_signal').truncate();
  await knex('batch_job_run').delete();
});

describe('cacheMemberSignals', () => {
  it.each([
    ['no body', null],
    ['a signal that is not known', { signals: ['a1c', 'shoe-size'] }],
    ['no signal at all', { signals: [] }],
    ['SQL for a signal', { signals: ["a1c' OR 1=1"] }],
    ['a day for a moment', { since: '2026-01-31' }],
    ['a chunk of none', { chunkSize: 0 }],
    ['more members than a statement has parameters for', { chunkSize: 5_001 }],
    ['a flag as text', { isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(bigquery.streamResults).not.toHaveBeenCalled();
  });

  it('loads each signal, as a run of its own', async () => {
    warehouse = { a1c: [row('m1', 6.1), row('m2', 5.4)], ldl: [row('m1', 130)] };
    await expect(cacheMemberSignals({ signals: ['a1c', 'ldl'] })).resolves.toEqual({
      isDryRun: false, processed: 3, succeeded: 3, failed: 0, inserted: 3, updated: 0, unchanged: 0, failedSignals: [],
      signals: [
        { signal: 'a1c', isComplete: true, processed: 2, succeeded: 2, failed: 0, inserted: 2, updated: 0, unchanged: 0 },
        { signal: 'ldl', isComplete: true, processed: 1, succeeded: 1, failed: 0, inserted: 1, updated: 0, unchanged: 0 },
      ],
    });
    expect(await rows()).toMatchObject([
      { memberId: 'm1', signal: 'a1c', value: 6.1, observedAt: new Date(NOON) },
      { memberId: 'm1', signal: 'ldl', value: 130 },
      { memberId: 'm2', signal: 'a1c', value: 5.4 },
    ]);
    expect(await subRuns()).toMatchObject([
      { jobName: 'cache-member-signals-a1c', status: 'succeeded', body: { signal: 'a1c', chunkSize: 1_000 } },
      { jobName: 'cache-member-signals-ldl', status: 'succeeded', body: { signal: 'ldl' } },
    ]);
  });

  it('asks for all signals by default and for each once, with nothing of the body in the text of the query', async () => {
    await cacheMemberSignals({});
    await cacheMemberSignals({ signals: ['bmi', 'bmi'], since: NOON });
    const queries = jest.mocked(bigquery.streamResults).mock.calls.map(([query]) => query);
    expect(queries.map(({ params }) => (params as { signal: string }).signal).toSorted()).toEqual(['a1c', 'bmi', 'bmi', 'ldl', 'systolic-blood-pressure']);
    expect(queries.at(-1)).toMatchObject({ params: { signal: 'bmi', since: new Date(NOON) } });
    expect(new Set(queries.map(({ query }) => query)).size).toBe(1);
  });

  it('writes nothing the second time', async () => {
    warehouse = { a1c: [row('m1'), row('m2')] };
    await cacheMemberSignals({ signals: ['a1c'] });
    const before = await rowVersions();
    await expect(cacheMemberSignals({ signals: ['a1c'] })).resolves.toMatchObject({ inserted: 0, updated: 0, unchanged: 2 });
    expect(await rowVersions()).toEqual(before);
  });

  it('writes what is newer or corrected, and leaves alone what is older, equal, or of another signal', async () => {
    for (const memberId of ['corrected', 'equal', 'newer', 'older']) await memberSignalFactory.create({ memberId, value: 5, observedAt: NOON });
    await memberSignalFactory.create({ memberId: 'newer', signal: 'ldl', value: 5, observedAt: NOON });
    warehouse = { a1c: [row('corrected', 6), row('equal', 5), row('newer', 5, LATER), row('older', 6, EARLIER), row('new', 6)] };
    const before = await rowVersions();
    const counts = { processed: 5, succeeded: 5, inserted: 1, updated: 2, unchanged: 2 };

    await expect(cacheMemberSignals({ signals: ['a1c'], isDryRun: true })).resolves.toMatchObject({ isDryRun: true, ...counts });
    expect(await rowVersions()).toEqual(before);

    await expect(cacheMemberSignals({ signals: ['a1c'] })).resolves.toMatchObject({ isDryRun: false, ...counts });
    const changed = (await rowVersions()).filter(({ ctid }) => !before.some((known) => known.ctid === ctid));
    expect(changed).toMatchObject([
      { memberId: 'corrected', value: 6, observedAt: new Date(NOON) },
      { memberId: 'new', value: 6 },
      { memberId: 'newer', signal: 'a1c', value: 5, observedAt: new Date(LATER) },
    ]);
  });

  it.each([1, 2, 1_000])('keeps the newest where a member comes twice, in chunks of %d', async (chunkSize) => {
    warehouse = { a1c: [row('m1', 1, NOON), row('m1', 3, LATER), row('m1', 2, EARLIER), row('m2')] };
    await expect(cacheMemberSignals({ signals: ['a1c'], chunkSize })).resolves.toMatchObject({ processed: 4, succeeded: 4 });
    expect(await rows()).toMatchObject([{ memberId: 'm1', value: 3, observedAt: new Date(LATER) }, { memberId: 'm2' }]);
  });

  it('does not replace what a run beside it has written since it compared', async () => {
    const all = Array.from({ length: 500 }, (_, i) => `m${i}`);
    const given = [all.map((id) => row(id, 2, LATER)), all.toReversed().map((id) => row(id, 1, EARLIER))];
    for (const observations of given) jest.mocked(bigquery.streamResults).mockImplementationOnce((async function* once() { yield* observations; }) as never);
    await Promise.all(given.map(() => cacheMemberSignals({ signals: ['a1c'], chunkSize: 50 })));
    const written = await rows();
    expect(written).toHaveLength(500);
    expect(new Set(written.map(({ value }) => value))).toEqual(new Set([2]));
  });

  it.each([
    ['without a member', { ...row('m'), memberId: '' }],
    ['without a value', row('m', null)],
    ['whose value is text', row('m', '5.5')],
    ['whose value is no number', row('m', NaN)],
    ['without a moment', row('m', 5.5, null)],
    ['from the future', row('m', 5.5, '2999-01-01T00:00:00Z')],
  ])('counts a row %s as failed, and loads the others', async (_what, bad) => {
    warehouse = { a1c: [row('m1'), bad, row('m2')] };
    await expect(cacheMemberSignals({ signals: ['a1c'] })).resolves.toMatchObject({ processed: 3, succeeded: 2, failed: 1, inserted: 2, failedSignals: [] });
    expect((await rows()).map(({ memberId }) => memberId)).toEqual(['m1', 'm2']);
  });

  it('goes on with the others when one signal fails, says which, and keeps what came before', async () => {
    warehouse = { a1c: [row('m1')], bmi: [row('m1'), row('m2'), row('m3')], ldl: [row('m1')] };
    failing = 'bmi';
    const result = await cacheMemberSignals({ signals: ['a1c', 'bmi', 'ldl'], chunkSize: 1 });
    expect(result).toMatchObject({ failedSignals: ['bmi'], inserted: 5 });
    expect(result.signals.map(({ isComplete }) => isComplete)).toEqual([true, false, true]);
    expect((await subRuns()).map(({ status }) => status)).toEqual(['succeeded', 'failed', 'succeeded']);
    failing = undefined;
    await expect(cacheMemberSignals({ signals: ['bmi'], chunkSize: 1 })).resolves.toMatchObject({ failedSignals: [], unchanged: 3 });
  });

  it('fails when every signal does', async () => {
    failing = 'bmi';
    await expect(cacheMemberSignals({ signals: ['bmi'] })).rejects.toMatchObject({ status: 502, data: { failedSignals: ['bmi'] } });
  });

  it('says what to set where BigQuery is not configured, before any signal is on record', async () => {
    jest.mocked(bigquery.getBigQueryClient).mockRejectedValue(new StatusError(500, 'Set BIGQUERY_PROJECT'));
    await expect(cacheMemberSignals({})).rejects.toMatchObject({ status: 500, data: 'Set BIGQUERY_PROJECT' });
    expect(await subRuns()).toEqual([]);
  });

  it('is stopped with its run, whose signals are stopped with it', async () => {
    jest.mocked(bigquery.streamResults).mockImplementation(async function* endless() {
      for (let i = 0; ; i++) yield row(`m${i}`);
    } as never);
    const running = BatchJobRun.trap('cache-member-signals', () => cacheMemberSignals({ signals: ['a1c', 'bmi', 'ldl'], chunkSize: 10 }), { timeoutMs: 1_000 });
    await expect(running).rejects.toMatchObject({ name: 'RunTimedOut' });
    const ended = await waitUntil('its signals have ended', async () => {
      const runs = await subRuns();
      return runs.every(({ status }) => status !== 'running') ? runs : undefined;
    });
    expect(ended.map(({ jobName }) => jobName)).toEqual(['cache-member-signals-a1c', 'cache-member-signals-bmi']);
    expect(ended.map(({ status }) => status)).not.toContain('succeeded');
  });

  it('runs over HTTP, as the parent of its signals, and in a dry run writes nothing', async () => {
    warehouse = { a1c: [row('m1')] };
    const app = testApp(testRegistry(path.resolve(__dirname, '..')));
    const post = (body: object) => supertest(app).post('/jobs/cache-member-signals').send({ signals: ['a1c'], ...body });
    await expect(post({ isDryRun: true })).resolves.toMatchObject({ status: 200, body: { isDryRun: true, inserted: 1 } });
    expect(await rows()).toEqual([]);
    expect(await subRuns()).toMatchObject([{ isDryRun: true }]);

    const answer = await post({});
    expect(answer).toMatchObject({ status: 200, body: { inserted: 1 } });
    expect(await rows()).toHaveLength(1);
    const children = await knex('batch_job_run').where({ parentRunId: answer.get('Job-Run-Id') });
    expect(children).toMatchObject([{ jobName: 'cache-member-signals-a1c', writes: { member_signal: { insert: 1 } } }]);
  });
});

// In a process of its own, on this spec's database: Google's client imports as ES modules do, which Jest cannot.
describe("cache-member-signals with Google's client", () => {
  const FIELDS = [{ name: 'memberId', type: 'STRING' }, { name: 'value', type: 'FLOAT' }, { name: 'observedAt', type: 'TIMESTAMP' }];
  const MICROSECONDS = String(Date.parse(NOON) * 1_000);
  let server: BigQueryServer;

  beforeAll(async () => {
    server = await startBigQueryServer(({ params }) => ({
      fields: FIELDS,
      pages: [[[`${params.signal}-1`, '5.5', MICROSECONDS], [`${params.signal}-2`, '6', MICROSECONDS]], [[`${params.signal}-3`, '7.25', MICROSECONDS]]],
    }));
  });
  afterAll(() => server.close());
  beforeEach(() => {
    server.queries.length = 0;
    server.interfere = () => undefined;
  });

  /** `job run cache-member-signals` as on any command line. */
  const run = (body: object, env: object = {}) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      execFile(
        process.execPath,
        builtProgram('src/cli.ts', 'run', 'cache-member-signals', '--body', JSON.stringify(body)),
        { cwd: packageRoot(), env: { ...process.env, BIGQUERY_PROJECT: 'a-project', BIGQUERY_ENDPOINT: server.origin, LOG_LEVEL: 'silent', ...env } },
        (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), output: stdout + stderr }),
      );
    });

  it('loads all pages of all signals, with parameters that are typed', async () => {
    await expect(run({ signals: ['a1c', 'bmi'], since: EARLIER })).resolves.toMatchObject({ code: 0 });
    expect(await rows()).toHaveLength(6);
    expect((await rows())[2]).toMatchObject({ memberId: 'a1c-3', value: 7.25, observedAt: new Date(NOON) });
    expect(new Set(server.queries.map(({ params }) => params.signal))).toEqual(new Set(['a1c', 'bmi']));
    expect(Date.parse(server.queries[0]!.params.since!)).toBe(Date.parse(EARLIER));
    expect((await subRuns()).map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  }, 60_000);

  it('has the signal fail whose second page BigQuery refuses, and the other one loaded', async () => {
    server.interfere = ({ params }, page, res) => params.signal === 'a1c' && page === 1 && Boolean(res.writeHead(400, { 'Content-Type': 'application/json' }).end('{"error":{"code":400,"errors":[{"reason":"invalid","message":"x"}]}}'));
    const { code, output } = await run({ signals: ['a1c', 'bmi'] });
    expect(code).toBe(0);
    expect(output).toContain('a1c');
    expect((await subRuns()).map(({ status }) => status)).toEqual(['failed', 'succeeded']);
    expect((await rows()).filter(({ signal }) => signal === 'bmi')).toHaveLength(3);
  }, 60_000);

  it('asks in a dry run whether the query only reads, then reads, and writes nothing', async () => {
    await expect(run({ signals: ['a1c'], isDryRun: true })).resolves.toMatchObject({ code: 0 });
    expect(server.queries.map(({ isDryRun }) => isDryRun)).toEqual([true, false]);
    expect(await rows()).toEqual([]);
  }, 60_000);

  it('says what to set where no project is configured', async () => {
    const { code, output } = await run({}, { BIGQUERY_PROJECT: '', GOOGLE_CLOUD_PROJECT: '' });
    expect(code).not.toBe(0);
    expect(output).toContain('Set BIGQUERY_PROJECT');
  }, 60_000);
});
