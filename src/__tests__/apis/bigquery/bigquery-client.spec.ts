import { execFile } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { packageRoot } from '@commons/backend/lib/process/package-root.js';
import { builtProgram } from '../../helpers/built-program.js';
import { type LoopbackServer, type Received, startLoopbackServer } from '../../helpers/loopback-server.js';

type Fault = (res: ServerResponse) => unknown;

let server: LoopbackServer;
let faults: (Fault | undefined)[];
let pages: unknown[][];
let statementType: string;
let fields: unknown[];
/** An answer that is kept back until the query is cancelled. */
let held: ServerResponse | undefined;

const json = (res: ServerResponse, status: number, value: unknown) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
const refuse = (status: number, reason: string, message: string): Fault => (res) => json(res, status, { error: { code: status, message, errors: [{ reason, message }] } });
const cut: Fault = (res) => res.destroy();

/** https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs */
function answer({ method, url, body }: Received, res: ServerResponse): unknown {
  const fault = faults.shift();
  if (fault) return fault(res);
  if (url.pathname.endsWith('/cancel')) {
    held?.destroy();
    return json(res, 200, {});
  }
  if (method === 'POST') {
    const { jobReference } = JSON.parse(body);
    return json(res, 200, { jobReference, status: { state: 'DONE' }, statistics: { query: { statementType } } });
  }
  const at = Number(url.searchParams.get('pageToken') ?? 0);
  const rows = pages[at]!.map((values) => ({ f: (values as unknown[]).map((v) => ({ v })) }));
  return json(res, 200, { jobComplete: true, schema: { fields }, rows, ...(at + 1 < pages.length && { pageToken: String(at + 1) }) });
}

beforeAll(async () => {
  server = await startLoopbackServer(answer);
});
afterAll(() => server.close());
beforeEach(() => {
  server.received.length = 0;
  faults = [];
  statementType = 'SELECT';
  fields = [{ name: 'id', type: 'INTEGER' }];
  pages = [[['1'], ['2']], [['3']], [['4']]];
});

async function ask(command: object, env: object = {}): Promise<{ count: number; rows: unknown[]; error?: Record<string, unknown> }> {
  const { stdout } = await promisify(execFile)(process.execPath, builtProgram('src/__tests__/fixtures/bigquery-process.ts', JSON.stringify(command)), {
    cwd: packageRoot(),
    env: { ...process.env, BIGQUERY_PROJECT: 'a-project', BIGQUERY_ENDPOINT: server.origin, ...env },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

const asked = () => server.received.map(({ method, url }) => `${method} ${url.pathname.replace(/.*\/projects\/a-project/, '').replace(/[\da-f]{8}-[^/]+/, '<id>')}`);
const SQL = { query: 'SELECT id FROM t WHERE market = @market', params: { market: 'boston' } };

it('gives the rows of all pages, and sends the parameters apart from the text, without credentials', async () => {
  await expect(ask(SQL)).resolves.toEqual({ count: 4, rows: [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }] });
  expect(asked()).toEqual(['POST /jobs', 'GET /queries/<id>', 'GET /queries/<id>', 'GET /queries/<id>']);
  expect(JSON.parse(server.received[0]!.body).configuration.query).toMatchObject({ query: SQL.query, queryParameters: [{ name: 'market', parameterValue: { value: 'boston' } }] });
  expect(server.received[0]!.headers.authorization).toBeUndefined();
});

it('asks for no page that nobody reads', async () => {
  await expect(ask({ ...SQL, take: 3 })).resolves.toMatchObject({ count: 3 });
  expect(asked()).toEqual(['POST /jobs', 'GET /queries/<id>', 'GET /queries/<id>']);
});

it('gives plain values', async () => {
  const values = {
    date: ['DATE', '2026-01-31', '2026-01-31'],
    time: ['TIME', '12:30:00', '12:30:00'],
    datetime: ['DATETIME', '2026-01-31T12:30:00', '2026-01-31T12:30:00'],
    timestamp: ['TIMESTAMP', '1769862600123456', '2026-01-31T12:30:00.123456000Z'],
    numeric: ['NUMERIC', '12345678901234567890.123456789', '12345678901234567890.123456789'],
    float: ['FLOAT', '1.5', 1.5],
    flag: ['BOOLEAN', 'true', true],
    text: ['STRING', 'x', 'x'],
    json: ['JSON', '{"a":1}', '{"a":1}'],
    none: ['INTEGER', null, null],
  } as const;
  fields = Object.entries(values).map(([name, [type]]) => ({ name, type }));
  pages = [[Object.values(values).map(([, sent]) => sent)]];
  const { rows } = await ask(SQL);
  expect(rows).toEqual([Object.fromEntries(Object.entries(values).map(([name, [, , given]]) => [name, given]))]);
});

it('refuses an integer that no number holds, by its column', async () => {
  pages = [[['9007199254740993']]];
  const { error } = await ask(SQL);
  expect(error?.message).toBe('The column id holds an INT64 that is too large for a number. Select CAST(id AS STRING).');
});

it.each<[string, Fault]>([['503', refuse(503, 'backendError', 'try again')], ['a cut connection', cut]])('is none the worse for %s', async (_what, fault) => {
  faults = [fault, undefined, fault, undefined, fault];
  await expect(ask(SQL)).resolves.toMatchObject({ count: 4 });
}, 60_000);

it('fails with the reason, and without the value that BigQuery quotes', async () => {
  faults = [undefined, refuse(400, 'invalidQuery', 'Bad int64 value: S3cret')];
  const { error } = await ask(SQL);
  expect(error).toMatchObject({ name: 'BigQueryError', reason: 'invalidQuery', code: 400, message: expect.stringContaining('BigQuery: Bad int64 value (invalidQuery).') });
  expect(JSON.stringify(error)).not.toContain('S3cret');
});

it('cancels its query when the run is to stop', async () => {
  faults = [undefined, (res) => (held = res)];
  await expect(ask({ ...SQL, stopAfter: 1_500 })).resolves.toMatchObject({ count: 0, error: { message: 'the run is cancelled' } });
  expect(asked()).toContain('POST /jobs/<id>/cancel');
});

it('says what to set when no project is configured', async () => {
  const { error } = await ask(SQL, { BIGQUERY_PROJECT: '', GOOGLE_CLOUD_PROJECT: '' });
  expect(error).toMatchObject({ status: 500, message: expect.stringContaining('Set BIGQUERY_PROJECT') });
  expect(server.received).toEqual([]);
});

describe('in a dry run', () => {
  it('a SELECT is asked', async () => {
    await expect(ask({ ...SQL, isDryRun: true })).resolves.toMatchObject({ count: 4 });
    expect(JSON.parse(server.received[0]!.body).configuration.dryRun).toBe(true);
  });

  it.each(['DELETE', 'SCRIPT', 'CREATE_TABLE_AS_SELECT'])('what BigQuery calls a %s is not executed', async (type) => {
    statementType = type;
    await expect(ask({ ...SQL, isDryRun: true })).resolves.toMatchObject({ error: { name: 'DryRunQuery', message: expect.stringContaining(type) } });
    expect(server.received.map(({ body }) => JSON.parse(body).configuration.dryRun)).toEqual([true]);
  });

  it("Google's own client refuses what is not known to read", async () => {
    await expect(ask({ ...SQL, isDryRun: true, raw: true })).resolves.toMatchObject({ error: { name: 'DryRunQuery' } });
    expect(server.received).toEqual([]);
  });
});
