import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { zipFile } from '@commons/backend/__tests__/helpers/zip-file.js';
import main, { cacheZipCodes } from '@commons/backend/jobs/cache-zip-codes.js';
import * as envConfig from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';

jest.mock('@commons/backend/lib/logging.js');

const realConfig = envConfig.envConfig();

beforeEach(() => void jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...realConfig, sourceFolder: tmpdir() }));

const buildRequest = (body: any) => ({ body }) as any;

/** A line of GeoNames' format, right but for what `fields` says of its columns, which count from 0. */
function line(code: string, fields: Record<number, string> = {}): string {
  const columns = ['US', code, 'Springfield', 'Oregon', 'OR', 'Lane', '039', '', '', '44.0462', '-123.022', '4'];
  for (const [column, value] of Object.entries(fields)) columns[Number(column)] = value;
  return columns.join('\t');
}

const lines = (count: number, first = 10_000) => Array.from({ length: count }, (_, i) => line(String(first + i)));

let folder: string;
const sourceFile = async (content: string | Buffer, name = 'source.txt') => {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
};

const codes = async (): Promise<string[]> => knex('zip_code').orderBy('code').pluck('code');

/** Which version of each row is there, by the system columns that every write and every lock changes. */
const rowVersions = () => knex('zip_code').select('code', 'updatedAt').select(knex.raw('xmin::text, xmax::text, ctid::text')).orderBy('code');

const everythingLogged = () => JSON.stringify([logger.log, logger.warn, logger.error, logger.debug].map((level) => jest.mocked(level).mock.calls));

beforeEach(async () => {
  jest.mocked(logger.log).mockReset();
  jest.mocked(logger.warn).mockReset();
  folder = await mkdtemp(path.join(tmpdir(), 'cache-zip-codes-'));
});

afterEach(() => rm(folder, { recursive: true }));

const startEmpty = () => knex('zip_code').truncate();

describe('cacheZipCodes with the bundled snapshot', () => {
  let result: unknown;

  beforeAll(async () => {
    await startEmpty();
    result = await cacheZipCodes({});
  });

  it('loads every code once', async () => {
    expect(result).toEqual({
      isDryRun: false,
      source: 'data/geonames-us-postal-codes.txt.gz',
      processed: 41_490,
      succeeded: 41_490,
      failed: 0,
      inserted: 41_488,
      updated: 0,
      unchanged: 0,
      duplicates: 2,
    });
    await expect(knex('zip_code').count()).resolves.toEqual([{ count: '41488' }]);
  });

  it('keeps codes as text, knows no state of a military one, and gives a code that comes twice to the line with a state', async () => {
    await expect(knex('zip_code').whereIn('code', ['00501', '09001', '96860']).orderBy('code')).resolves.toMatchObject([
      { code: '00501', city: 'Holtsville', state: 'NY', stateName: 'New York', county: 'Suffolk', latitude: 40.8154, longitude: -73.0451 },
      { code: '09001', city: 'APO AA', state: null, stateName: null, county: null, latitude: 38.1105, longitude: 15.6613 },
      { code: '96860', city: 'Jbphh', state: 'HI', stateName: 'Hawaii', county: 'Honolulu' },
    ]);
  });

  it('writes nothing the second time', async () => {
    const before = await rowVersions();
    await expect(cacheZipCodes({ batchSize: 5_000 })).resolves.toMatchObject({ inserted: 0, updated: 0, unchanged: 41_488 });
    expect(await rowVersions()).toEqual(before);
  });

  it('says in a dry run what it would write, writes nothing, and finds its file wherever the process stands', async () => {
    await startEmpty();
    const cwd = process.cwd();
    process.chdir(tmpdir());
    try {
      await expect(cacheZipCodes({ isDryRun: true })).resolves.toMatchObject({ isDryRun: true, processed: 41_490, inserted: 41_488 });
    } finally {
      process.chdir(cwd);
    }
    expect(await codes()).toEqual([]);
  });
});

describe('cacheZipCodes', () => {
  beforeEach(startEmpty);

  it.each([
    ['no body', undefined],
    ['a body that is no object', 'US'],
    ['a batch of none', { batchSize: 0 }],
    ['half a row', { batchSize: 1.5 }],
    ['more rows than a statement has parameters for', { batchSize: 5_001 }],
    ['a number as text', { batchSize: '1000' }],
    ['an empty source', { source: '' }],
    ['a source of another protocol', { source: 'ftp://example.org/US.zip' }],
    ['a file by address', { source: 'file:///etc/passwd' }],
    ['an address with a password', { source: 'https://user:secret@example.org/US.zip' }],
    ['an address that is none', { source: 'https://' }],
    ['a flag as text', { isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(logger.log).not.toHaveBeenCalled();
  });

  it('writes what is new and what has changed, and leaves the rest alone', async () => {
    await cacheZipCodes({ source: await sourceFile(lines(5).join('\n')) });
    await knex('zip_code').where({ code: '10001' }).update({ city: 'Elsewhere', updatedAt: '2020-01-01' });
    await knex('zip_code').where({ code: '10002' }).update({ state: null });
    await knex('zip_code').where({ code: '10003' }).delete();
    const before = await rowVersions();

    const body = { source: await sourceFile(lines(5).join('\n')) };
    const counts = { inserted: 1, updated: 2, unchanged: 2 };
    await expect(cacheZipCodes({ ...body, isDryRun: true })).resolves.toMatchObject(counts);
    expect(await rowVersions()).toEqual(before);
    await expect(cacheZipCodes(body)).resolves.toMatchObject(counts);

    const changed = (await rowVersions()).filter(({ ctid }) => !before.some((row) => row.ctid === ctid));
    expect(changed.map(({ code }) => code)).toEqual(['10001', '10002', '10003']);
    const row = await knex('zip_code').where({ code: '10001' }).first();
    expect(row).toMatchObject({ city: 'Springfield' });
    expect(row.updatedAt.getFullYear()).toBeGreaterThan(2020);
  });

  it.each([1, 2, 1_000])('takes a code that comes twice once, in batches of %d', async (batchSize) => {
    const twice = [line('10000', { 2: 'First' }), line('10001'), line('10000', { 2: 'Second' })];
    const body = { source: await sourceFile(twice.join('\n')), batchSize };
    await expect(cacheZipCodes(body)).resolves.toMatchObject({ processed: 3, succeeded: 3, inserted: 2, duplicates: 1 });
    await expect(cacheZipCodes(body)).resolves.toMatchObject({ inserted: 0, updated: 0, unchanged: 2, duplicates: 1 });
    await expect(knex('zip_code').where({ code: '10000' }).first()).resolves.toMatchObject({ city: 'First' });
  });

  it('fails where the database does not take a batch, and calls no line a failure', async () => {
    await knex.raw("alter table zip_code add constraint no_such_place check (city <> 'Nowhere')");
    const run = new TestRun({ jobName: 'cache-zip-codes' });
    const body = { source: await sourceFile([line('10000'), line('10001', { 2: 'Nowhere' })].join('\n')) };
    await expect(run.do(() => cacheZipCodes(body))).rejects.toThrow('no_such_place');
    await knex.raw('alter table zip_code drop constraint no_such_place');
    expect(run.failures).toEqual([]);
  });

  it('gets along with another run of itself', async () => {
    const forth = await sourceFile(lines(5_000).join('\n'), 'forth.txt');
    const back = await sourceFile(lines(5_000).toReversed().join('\n'), 'back.txt');
    await Promise.all([forth, back].map((source) => cacheZipCodes({ source, batchSize: 5_000 })));
    expect(await codes()).toHaveLength(5_000);
  });

  it('stops between two batches when its run is to stop', async () => {
    const run = new TestRun({ jobName: 'cache-zip-codes' });
    jest.mocked(logger.log).mockImplementation((message: string) => {
      if (message.startsWith('Processed')) run.controller.abort(new Error('the service stops'));
    });
    const body = { source: await sourceFile(lines(100).join('\n')), batchSize: 10 };
    await expect(run.do(() => cacheZipCodes(body))).rejects.toThrow('the service stops');
    expect(await codes()).toHaveLength(10);
    expect(run.reports.at(-1)).toMatchObject({ processed: 10, succeeded: 10, failed: 0 });
  });
});

describe('lines that are no postal code', () => {
  beforeEach(startEmpty);

  const secret = 'S3cret';

  it.each([
    ['a column short', line('10000').slice(0, -2)],
    ['a column long', `${line('10000')}\t`],
    ['empty', ''],
    ['of another country', line('10000', { 0: 'CA' })],
    ['with a code of four digits', line('1000')],
    ['with a code of nine digits', line('10000-1234')],
    ['without a place', line('10000', { 2: '' })],
    ['with an endless place', line('10000', { 2: secret.repeat(1_000) })],
    ['with a NUL in it', line('10000', { 2: `${secret}\0` })],
    ['with a state by its name', line('10000', { 4: 'Oregon' })],
    ['with a state without its name', line('10000', { 3: '' })],
    ['with a county by its name', line('10000', { 6: 'Lane' })],
    ['without a latitude', line('10000', { 9: '' })],
    ['north of the pole', line('10000', { 9: '90.1' })],
    ['with a latitude that is no number', line('10000', { 9: '0x10' })],
    ['east of the date line', line('10000', { 10: '180.0001' })],
    ['with an accuracy of 7', line('10000', { 11: '7' })],
  ])('are counted as failed: one %s', async (_what, bad) => {
    const source = await sourceFile([line('20000'), bad, line('20001')].join('\n'));
    await expect(cacheZipCodes({ source })).resolves.toMatchObject({ processed: 3, succeeded: 2, failed: 1, inserted: 2 });
    expect(await codes()).toEqual(['20000', '20001']);
    expect(logger.warn).toHaveBeenCalledTimes(1);
    expect(logger.warn).toHaveBeenCalledWith(expect.stringMatching(/^Failed: no postal code: /), 'process-in-batches', { key: 2 });
    expect(everythingLogged()).not.toContain(secret);
  });

  it('are kept with the run, by their numbers', async () => {
    const run = new TestRun({ jobName: 'cache-zip-codes' });
    const source = await sourceFile([line('20000'), 'x', line('20001'), 'x'].join('\n'));
    await run.do(() => cacheZipCodes({ source }));
    expect(run.failures).toMatchObject([{ key: 2, error: { message: 'no postal code: 1 columns in place of 12' } }, { key: 4 }]);
  });

  it('are counted as failed when their bytes are no UTF-8', async () => {
    const source = await sourceFile(Buffer.from([line('20000'), line('10000', { 2: 'Peñasco' })].join('\n'), 'latin1'));
    await expect(cacheZipCodes({ source })).resolves.toMatchObject({ succeeded: 1, failed: 1 });
  });

  it('are logged up to a cap', async () => {
    const source = await sourceFile([...Array.from({ length: 500 }, () => 'x'), line('20000')].join('\n'));
    await expect(cacheZipCodes({ source })).resolves.toMatchObject({ failed: 500, inserted: 1 });
    expect(jest.mocked(logger.warn).mock.calls.length).toBeLessThanOrEqual(101);
    expect(everythingLogged()).toContain('500');
  });

  it.each([['nothing', ''], ['a web page', '<html>\n<p>Moved.\n</html>\n']])('fail the run when there is nothing else: %s', async (_what, content) => {
    await expect(cacheZipCodes({ source: await sourceFile(content) })).rejects.toMatchObject({
      status: 422,
      data: { message: 'The source holds no US postal code', succeeded: 0 },
    });
  });
});

describe('a file as the source', () => {
  beforeEach(startEmpty);

  const text = `${lines(3).join('\n')}\n`;
  const readme = 'Readme for GeoNames Postal Code files:\n';

  it.each<[string, string | Buffer]>([
    ['plain text', text],
    ['plain text without a last line end', text.trimEnd()],
    ['plain text with CRLF and a byte order mark', `\uFEFF${text.replaceAll('\n', '\r\n')}`],
    ['gzip', gzipSync(text)],
    ['gzip in two members', Buffer.concat([gzipSync(text.slice(0, 50)), gzipSync(text.slice(50))])],
    ['a ZIP file as GeoNames makes it', zipFile([{ name: 'readme.txt', content: readme }, { name: 'US.txt', content: text }])],
    ['a ZIP file whose readme is last', zipFile([{ name: 'US.txt', content: text, isStored: true }, { name: 'readme.txt', content: readme }])],
  ])('may be %s, whatever its name', async (_what, content) => {
    const source = await sourceFile(content, 'postal-codes');
    await expect(cacheZipCodes({ source })).resolves.toMatchObject({ source, processed: 3, succeeded: 3, failed: 0, inserted: 3 });
    expect(await codes()).toEqual(['10000', '10001', '10002']);
  });

  const zip = zipFile([{ name: 'US.txt', content: lines(5_000).join('\n') }]);
  const wrongChecksum = zipFile([{ name: 'US.txt', content: text, isStored: true }]);
  wrongChecksum[wrongChecksum.indexOf('Springfield')]!++;

  it.each<[string, Buffer]>([
    ['gzip that was cut off', gzipSync(lines(5_000).join('\n')).subarray(0, -100)],
    ['gzip that was changed', gzipSync(text).fill(0xff, 20, 30)],
    ['a ZIP file that was cut off', zip.subarray(0, -100)],
    ['a ZIP file with another content than it says', wrongChecksum],
    ['a ZIP file without a text', zipFile([{ name: 'US.csv', content: text }, { name: 'readme.txt', content: readme }])],
  ])('is refused when it is %s', async (_what, content) => {
    await expect(cacheZipCodes({ source: await sourceFile(content) })).rejects.toMatchObject({ status: 422 });
  });

  it.each([
    ['is missing', '/no/such/file.txt'],
    ['has a name that none can have', `/tmp/${'x'.repeat(1_000)}`],
    ['is a folder', '/tmp'],
    ['is a device', '/dev/zero'],
  ])('is refused, by its name, when it %s', async (_what, source) => {
    await expect(cacheZipCodes({ source })).rejects.toMatchObject({ status: 400, data: expect.stringContaining(source) });
  });
});

describe('an address as the source', () => {
  beforeEach(startEmpty);

  const text = lines(2_000).join('\n');
  let server: Server;

  const serve = async (handler: RequestListener): Promise<string> => {
    server = createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/export/zip/US.zip`;
  };

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it.each<[string, Buffer]>([
    ['a ZIP file', zipFile([{ name: 'readme.txt', content: 'x' }, { name: 'US.txt', content: text }])],
    ['gzip', gzipSync(text)],
    ['plain text', Buffer.from(text)],
  ])('may answer with %s', async (_what, content) => {
    const source = await serve((_req, res) => res.end(content));
    await expect(cacheZipCodes({ source })).resolves.toMatchObject({ source, processed: 2_000, inserted: 2_000 });
  });

  it('is shown without its query, which may carry a signature', async () => {
    const source = await serve((_req, res) => res.end(text));
    await expect(cacheZipCodes({ source: `${source}?signature=S3cret` })).resolves.toMatchObject({ source });
    expect(everythingLogged()).not.toContain('S3cret');
  });

  it.each([404, 500])('that answers %d fails the run', async (status) => {
    const source = await serve((_req, res) => res.writeHead(status).end(text));
    await expect(cacheZipCodes({ source })).rejects.toMatchObject({ status: 502, data: `${source} answered ${status}` });
    expect(await codes()).toEqual([]);
  });

  it('that nobody listens at fails the run', async () => {
    const source = await serve(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    await expect(cacheZipCodes({ source })).rejects.toMatchObject({ status: 502, data: `${source} cannot be reached` });
  });

  it('that breaks off fails the run; what came before stays, and the next run completes it', async () => {
    let isBroken = true;
    const source = await serve((_req, res) => {
      if (!isBroken) return res.end(text);
      res.writeHead(200, { 'Content-Length': text.length });
      return res.write(text.slice(0, text.length / 2), () => setTimeout(() => res.destroy(), 200));
    });
    await expect(cacheZipCodes({ source, batchSize: 100 })).rejects.toMatchObject({ status: 502, data: `${source} broke off before its end` });
    const kept = (await codes()).length;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(2_000);

    isBroken = false;
    await expect(cacheZipCodes({ source })).resolves.toMatchObject({ inserted: 2_000 - kept, unchanged: kept });
  });

  it.each([['gzip', gzipSync(text)], ['a ZIP file', zipFile([{ name: 'US.txt', content: text }])]])('that breaks off amid %s fails the run', async (_what, content) => {
    const source = await serve((_req, res) => {
      res.writeHead(200, { 'Content-Length': content.length });
      res.write(content.subarray(0, content.length / 2), () => setTimeout(() => res.destroy(), 50));
    });
    await expect(cacheZipCodes({ source })).rejects.toMatchObject({ status: 502 });
  });

  it('that falls silent is left as soon as the run is to stop', async () => {
    const source = await serve((_req, res) => {
      res.writeHead(200);
      res.write(text.slice(0, 1_000));
    });
    const run = new TestRun({ jobName: 'cache-zip-codes' });
    setTimeout(() => run.controller.abort(new Error('timed out')), 100);
    await expect(run.do(() => cacheZipCodes({ source }))).rejects.toThrow('timed out');
  });
});
