import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import request from 'supertest';
import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilAQueryWaits, untilQueriesWait } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { createPatientsFromCsv } from '@commons/backend/jobs/create-patients-from-csv.js';
import * as envConfig from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import type { User } from '@commons/backend/models/tables.js';

const HEADER = 'externalId,firstName,lastName,birthDate,email,phone,zipCode';

/** A row that is right, but for what `cells` say. */
const row = (externalId: string, cells: Partial<Record<'firstName' | 'lastName' | 'birthDate' | 'email' | 'phone' | 'zipCode', string>> = {}) => {
  const { firstName = 'Example', lastName = 'Person', birthDate = '1980-01-31', email = '', phone = '', zipCode = '' } = cells;
  return [externalId, firstName, lastName, birthDate, email, phone, zipCode].join(',');
};

const csvOf = (...rows: string[]) => [HEADER, ...rows].join('\n');
const rowsNumbered = (count: number) => Array.from({ length: count }, (_, i) => row(`E-${i}`));

const allRows = () => knex('patient').select('*').select(knex.raw('xmin::text')).orderBy('externalId');
const externalIds = (): Promise<string[]> => knex('patient').orderBy('externalId').pluck('externalId');
const patientOf = (externalId: string) => knex('patient').where({ externalId }).select('*', knex.raw(`"birthDate"::text`)).first();

const zeros = { created: 0, unchanged: 0, invalid: 0, duplicates: 0, conflicts: 0 };

beforeEach(() => knex.raw('truncate "user", patient cascade'));

afterEach(() => {
  jest.restoreAllMocks();
});

describe('createPatientsFromCsv', () => {
  it.each([
    ['no body', null],
    ['neither a source nor a CSV', {}],
    ['both', { source: 'patients.csv', csv: HEADER }],
    ['an empty CSV', { csv: '' }],
    ['more than belongs into a body', { csv: 'x'.repeat(500_001) }],
    ['an empty source', { source: '' }],
    ['a source of another protocol', { source: 'ftp://example.org/patients.csv' }],
    ['an address with a password', { source: 'https://user:secret@example.org/patients.csv' }],
    ['a batch of none', { csv: HEADER, batchSize: 0 }],
    ['more rows than a statement has parameters for', { csv: HEADER, batchSize: 1_001 }],
    ['a flag as text', { csv: HEADER, isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
  });

  it('creates the patients of a CSV, in its own name', async () => {
    const csv = csvOf(row('E-1', { email: 'Example@Example.com', phone: '+1 (212) 555-0100', zipCode: '00501' }), row('E-2'));
    await expect(createPatientsFromCsv({ csv })).resolves.toEqual({
      isDryRun: false, source: 'csv', processed: 2, succeeded: 2, failed: 0, ...zeros, created: 2, failedRows: [],
    });
    const user = (await knex<User>('user').where({ email: 'create-patients-from-csv@jobs.invalid' }).first())!;
    await expect(patientOf('E-1')).resolves.toMatchObject({
      firstName: 'Example', lastName: 'Person', birthDate: '1980-01-31', email: 'example@example.com', phone: '+1 (212) 555-0100', zipCode: '00501',
      status: 'active', source: 'csv', marketId: null, createdBy: user.id, deletedAt: null,
    });
    await expect(patientOf('E-2')).resolves.toMatchObject({ email: null, phone: null, zipCode: null });
  });

  it.each<[string, string]>([
    ['a byte order mark', `\uFEFF${csvOf(row('E-1'), row('E-2'))}`],
    ['CRLF', csvOf(row('E-1'), row('E-2')).replaceAll('\n', '\r\n')],
    ['a last line end, and empty lines', `${HEADER}\n\n${row('E-1')}\n\n${row('E-2')}\n\n`],
    ['all cells quoted', csvOf(row('E-1'), row('E-2')).replaceAll(/[^,\n]*/g, (cell) => cell && `"${cell}"`)],
    ['white space around cells', csvOf(row('E-1'), row('E-2')).replaceAll(',', ' , ')],
    ['columns in another order, and no others than it must have', 'birthDate,lastName,externalId,firstName\n1980-01-31,Person,E-1,Example\n1980-01-31,Person,E-2,Example'],
  ])('takes a CSV with %s', async (_what, csv) => {
    await expect(createPatientsFromCsv({ csv })).resolves.toMatchObject({ processed: 2, created: 2, failed: 0 });
    await expect(patientOf('E-2')).resolves.toMatchObject({ firstName: 'Example', lastName: 'Person', birthDate: '1980-01-31', email: null });
  });

  it('takes quotation marks, commas and line ends in cells, and counts lines as an editor does', async () => {
    const csv = csvOf(row('E-1', { lastName: '"Person,\r\nthe ""first"""' }), row('E-2', { birthDate: 'soon' }));
    await expect(createPatientsFromCsv({ csv })).resolves.toMatchObject({ created: 1, failedRows: [{ line: 4, reason: expect.stringContaining('birthDate') }] });
    await expect(patientOf('E-1')).resolves.toMatchObject({ lastName: 'Person, the "first"' });
  });

  it('finds what it created unchanged the second time, and writes nothing', async () => {
    const csv = csvOf(row('E-1', { email: 'Example@Example.com', zipCode: '00501' }), row('E-2', { firstName: '  Two  Names ' }));
    await createPatientsFromCsv({ csv });
    const before = await allRows();
    await expect(createPatientsFromCsv({ csv })).resolves.toMatchObject({ processed: 2, succeeded: 2, created: 0, unchanged: 2 });
    expect(await allRows()).toEqual(before);
  });

  it('does not compare a column that the CSV has not got', async () => {
    await createPatientsFromCsv({ csv: csvOf(row('E-1', { email: 'example@example.com' })) });
    const csv = 'externalId,firstName,lastName,birthDate\nE-1,Example,Person,1980-01-31';
    await expect(createPatientsFromCsv({ csv })).resolves.toMatchObject({ unchanged: 1, conflicts: 0 });
  });

  it('reports a patient who is on record otherwise, by the columns that differ, and does not overwrite', async () => {
    await createPatientsFromCsv({ csv: csvOf(row('E-1', { email: 'example@example.com' }), row('E-2')) });
    const before = await allRows();
    const csv = csvOf(row('E-1', { firstName: 'Instance', birthDate: '1980-02-01' }), row('E-2'), row('E-3'));
    await expect(createPatientsFromCsv({ csv })).resolves.toMatchObject({
      processed: 3, succeeded: 2, failed: 1, created: 1, unchanged: 1, conflicts: 1,
      failedRows: [{ line: 2, reason: 'the patient with this externalId differs in firstName, birthDate, email' }],
    });
    expect((await allRows()).slice(0, 2)).toEqual(before);
  });

  it('does not create a patient anew who was deleted', async () => {
    await patientFactory.create({ externalId: 'E-1', deletedAt: new Date() });
    await expect(createPatientsFromCsv({ csv: csvOf(row('E-1')) })).rejects.toMatchObject({
      status: 422,
      data: { message: 'Every row was refused', succeeded: 0, failed: 1, conflicts: 1, failedRows: [{ line: 2, reason: 'the patient with this externalId was deleted' }] },
    });
  });

  it.each([1, 2, 1_000])('takes the first of two rows with one externalId and reports the second, in batches of %d', async (batchSize) => {
    const csv = csvOf(row('E-1', { firstName: 'First' }), row('E-2'), row('E-1', { firstName: 'Second' }), row(' E-1'));
    const counts = { processed: 4, succeeded: 2, failed: 2, duplicates: 2 };
    const failedRows = [4, 5].map((line) => ({ line, reason: 'externalId is the same as in line 2' }));
    await expect(createPatientsFromCsv({ csv, batchSize, isDryRun: true })).resolves.toMatchObject({ ...counts, created: 2, failedRows });
    await expect(createPatientsFromCsv({ csv, batchSize })).resolves.toMatchObject({ ...counts, created: 2, failedRows });
    await expect(createPatientsFromCsv({ csv, batchSize })).resolves.toMatchObject({ ...counts, unchanged: 2, failedRows });
    await expect(patientOf('E-1')).resolves.toMatchObject({ firstName: 'First' });
  });

  it('creates each patient once when two runs of the same CSV come at once', async () => {
    const rows = rowsNumbered(500);
    const other = await knex.transaction();
    // A third one, who has created a patient in the middle of both, and then thinks better of it.
    await other('patient').insert({ externalId: 'E-250', firstName: 'Instance', lastName: 'Person', birthDate: '1980-01-31' });
    const running = Promise.all([rows, rows.toReversed()].map((list) => createPatientsFromCsv({ csv: csvOf(...list), batchSize: 50 })));
    await untilQueriesWait(2);
    await other.rollback();
    const results = await running;
    const sum = (key: 'created' | 'unchanged' | 'failed') => results.reduce((total, result) => total + result[key], 0);
    expect([sum('created'), sum('unchanged'), sum('failed')]).toEqual([500, 500, 0]);
  });

  it('compares again with a patient whom another run creates in between', async () => {
    const run = new TestRun();
    const inserting = await knex.transaction();
    await inserting('patient').insert({ externalId: 'E-1', firstName: 'Instance', lastName: 'Person', birthDate: '1980-01-31' });
    const creating = run.do(() => createPatientsFromCsv({ csv: csvOf(row('E-1'), row('E-2')) }));
    await untilAQueryWaits();
    await inserting.commit();
    await expect(creating).resolves.toMatchObject({ processed: 2, created: 1, conflicts: 1, failedRows: [{ line: 2, reason: expect.stringContaining('differs in firstName') }] });
  });

  it('stops between two batches when its run is to stop', async () => {
    const run = new TestRun();
    jest.spyOn(run, 'progress').mockImplementation(() => run.controller.abort(new Error('the service stops')));
    await expect(run.do(() => createPatientsFromCsv({ csv: csvOf(...rowsNumbered(30)), batchSize: 10 }))).rejects.toThrow('the service stops');
    expect(await externalIds()).toHaveLength(10);
  });
});

describe('rows that are no patient', () => {
  it.each<[string, string, string]>([
    ['without an externalId', row(' '), 'externalId is missing'],
    ['without a name', row('E-1', { firstName: '""' }), 'firstName is missing'],
    ['with an endless name', row('E-1', { lastName: 'S3cret'.repeat(17) }), 'lastName is longer than 100 characters'],
    ['with a NUL in it', row('E-1', { lastName: 'S3cret\0' }), 'lastName has control characters, or bytes that are no UTF-8'],
    ['without a birth date', row('E-1', { birthDate: '' }), 'birthDate is missing'],
    ['with a birth date of another form', row('E-1', { birthDate: '01/31/1980' }), 'birthDate is no date such as 1980-01-31'],
    ['with a day that there is not', row('E-1', { birthDate: '1981-02-29' }), 'birthDate is no date such as 1980-01-31'],
    ['who is not born yet', row('E-1', { birthDate: '2999-01-31' }), 'birthDate lies before 1900, or in the future'],
    ['who was born long ago', row('E-1', { birthDate: '1899-12-31' }), 'birthDate lies before 1900, or in the future'],
    ['with an e-mail address that is none', row('E-1', { email: 'S3cret' }), 'email is no e-mail address'],
    ['with a phone number that is none', row('E-1', { phone: 'S3cret' }), 'phone is no phone number'],
    ['with a ZIP code that a spreadsheet made a number', row('E-1', { zipCode: '501' }), 'zipCode is no ZIP code of five digits'],
    ['with a cell too few', row('E-1').slice(0, -1), 'has 6 cells, and the header 7'],
    ['with a cell too many', `${row('E-1')},S3cret`, 'has 8 cells, and the header 7'],
    ['with several faults', row('E-1', { birthDate: 'S3cret', zipCode: 'S3cret' }), 'birthDate is no date such as 1980-01-31; zipCode is no ZIP code of five digits'],
  ])('are reported by line and reason: one %s', async (_what, bad, reason) => {
    const body = { csv: csvOf(row('E-0'), bad, row('E-9')) };
    const run = new TestRun();
    const result = await run.do(() => createPatientsFromCsv(body));
    expect(result).toMatchObject({ processed: 3, succeeded: 2, failed: 1, created: 2, invalid: 1, failedRows: [{ line: 3, reason }] });
    expect(run.failures).toMatchObject([{ key: 3, error: { message: reason } }]);
    expect(await externalIds()).toEqual(['E-0', 'E-9']);
    expect(JSON.stringify([result, run.lines])).not.toContain('S3cret');
  });

  it('are all counted and kept, but listed up to a cap', async () => {
    const run = new TestRun();
    const csv = csvOf(...Array.from({ length: 300 }, () => 'x'), row('E-1'));
    const result = await run.do(() => createPatientsFromCsv({ csv, batchSize: 10 }));
    expect(result).toMatchObject({ processed: 301, failed: 300, invalid: 300, created: 1 });
    expect(result.failedRows).toHaveLength(100);
    expect(run.failures).toHaveLength(300);
  });
});

describe('a CSV that cannot be read', () => {
  it.each<[string, string, string]>([
    ['has no header', '\n', 'empty'],
    ['begins with a row', row('E-1', { lastName: 'S3cret' }), 'lacks externalId, firstName, lastName, birthDate'],
    ['lacks a column', 'externalId,firstName,lastName\n', 'lacks birthDate'],
    ['has a column of another name', `${HEADER},S3cret\n`, 'by their number: 8'],
    ['has a column twice', `${HEADER},email\n`, 'by their number: 8'],
    ['has semicolons', csvOf(row('E-1')).replaceAll(',', ';'), 'lacks externalId'],
    ['is a web page', '<html>\n<p>Moved.\n</html>\n', 'lacks externalId'],
  ])('fails the run, and creates nobody, when it %s', async (_what, csv, message) => {
    const failing = createPatientsFromCsv({ csv });
    await expect(failing).rejects.toMatchObject({ status: 422, data: expect.stringContaining(message) });
    await expect(failing).rejects.not.toMatchObject({ data: expect.stringContaining('S3cret') });
    expect(await externalIds()).toEqual([]);
  });

  it('fails the run at a broken quotation mark; what came before is processed, and stays so when the CSV was mended', async () => {
    const rows = [row('E-1'), row('E-2'), row('E-3', { lastName: '"S3cret' }), row('E-4')];
    const counts = { processed: 2, succeeded: 2, created: 2 };
    for (const isDryRun of [true, false]) {
      const failing = createPatientsFromCsv({ csv: csvOf(...rows), isDryRun });
      await expect(failing).rejects.toMatchObject({ status: 422, data: { message: expect.stringMatching(/^Line 4: a quotation mark is not closed/), isDryRun, ...counts } });
    }
    expect(await externalIds()).toEqual(['E-1', 'E-2']);
    await expect(createPatientsFromCsv({ csv: csvOf(...rows).replace('"', '') })).resolves.toMatchObject({ created: 2, unchanged: 2 });
  });

  it('takes a header alone for nobody', async () => {
    await expect(createPatientsFromCsv({ csv: HEADER })).resolves.toMatchObject({ processed: 0, failed: 0, failedRows: [] });
  });
});

describe('a source', () => {
  const realConfig = envConfig.envConfig();
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'create-patients-from-csv-'));
  });

  beforeEach(() => void jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...realConfig, sourceFolder: folder }));

  afterAll(() => rm(folder, { recursive: true }));

  const sourceFile = async (content: string | Buffer) => {
    const file = path.join(folder, 'patients.csv');
    await writeFile(file, content);
    return file;
  };

  it('may be a file', async () => {
    const source = await sourceFile(csvOf(...rowsNumbered(1_200)));
    await expect(createPatientsFromCsv({ source })).resolves.toMatchObject({ source, created: 1_200 });
    expect(await externalIds()).toHaveLength(1_200);
  });

  it('reports rows in another encoding, and takes the others', async () => {
    const source = await sourceFile(Buffer.from(csvOf(row('E-1', { lastName: 'Peñasco' }), row('E-2')), 'latin1'));
    await expect(createPatientsFromCsv({ source })).resolves.toMatchObject({ created: 1, failedRows: [{ line: 2, reason: 'lastName has control characters, or bytes that are no UTF-8' }] });
  });

  it('may be an address, which is shown without its query', async () => {
    const server = createServer((_req, res) => res.end(csvOf(row('E-1')))).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/patients.csv`;
      const run = new TestRun();
      await expect(run.do(() => createPatientsFromCsv({ source: `${address}?signature=S3cret` }))).resolves.toMatchObject({ source: address, created: 1 });
      expect(JSON.stringify(run.lines)).not.toContain('S3cret');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('that is missing is refused', async () => {
    await expect(createPatientsFromCsv({ source: '/no/such/file.csv' })).rejects.toMatchObject({ status: 400 });
  });
});

describe('POST /jobs/create-patients-from-csv', () => {
  const { app, post } = jobOverHttp('create-patients-from-csv');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    await createPatientsFromCsv({ csv: csvOf(row('E-1'), row('E-2')) });
    await knex('patient').where({ externalId: 'E-2' }).update({ firstName: 'Instance' });
    const before = await allRows();
    const body = { csv: csvOf(row('E-1'), row('E-2'), row('E-3'), row('E-3'), row('E-4', { birthDate: 'soon' }), row('E-5')), batchSize: 2 };
    const counts = { processed: 6, succeeded: 3, failed: 3, created: 2, unchanged: 1, invalid: 1, duplicates: 1, conflicts: 1 };

    const dry = await post({ ...body, isDryRun: true });
    expect(dry.answer.body).toMatchObject({ isDryRun: true, ...counts });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);

    const real = await post(body);
    expect(real.answer.body).toEqual({ ...dry.answer.body, isDryRun: false });
    expect(real.writes).toEqual({ patient: { insert: 2 } });
    const { body: kept } = await request(app).get(`/runs/${real.run.id}/failures`);
    expect(JSON.stringify(kept)).toContain('birthDate is no date such as 1980-01-31');

    const second = await post(body);
    expect(second.answer.body).toMatchObject({ ...counts, created: 0, unchanged: 3 });
    expect(second.writes).toEqual({});
  });

  it('refuses a body that has both a source and a CSV', async () => {
    const { answer, run } = await post({ source: 'patients.csv', csv: HEADER });
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toEqual([expect.objectContaining({ message: 'must have either source or csv' })]);
    expect(run).toMatchObject({ status: 'failed', httpStatus: 400 });
  });
});
