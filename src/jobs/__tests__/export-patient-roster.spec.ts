import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import supertest from 'supertest';
import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { marketFactory } from '@commons/backend/__tests__/helpers/factories/market-factory.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { readPdf } from '@commons/backend/__tests__/helpers/read-pdf.js';
import { testApp, testRegistry } from '@commons/backend/__tests__/helpers/test-app.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import main, { exportPatientRoster } from '@commons/backend/jobs/export-patient-roster.js';
import * as datadog from '@commons/backend/lib/datadog.js';
import { envConfig } from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import type { Patient } from '@commons/backend/models/tables.js';

jest.mock('@commons/backend/lib/logging.js');
jest.mock('@commons/backend/lib/datadog.js');
jest.mock('@commons/backend/lib/env-config.js', () => {
  const actual = jest.requireActual<{ envConfig: () => object }>('@commons/backend/lib/env-config.js');
  return { ...actual, envConfig: jest.fn(actual.envConfig) };
});

const realConfig = envConfig();
const NAME = 'rosters/all';
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'export-patient-roster-'));
  jest.mocked(envConfig).mockReturnValue({ ...realConfig, objectStorage: `file:${folder}` });
  for (const mock of [logger.error, logger.log, logger.warn, datadog.trackEvent]) jest.mocked(mock).mockReset();
  await knex('patient').delete();
});

afterEach(() => rm(folder, { recursive: true }));

const published = async () => (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name).toSorted();
const read = (name: string) => readFile(path.join(folder, name), 'utf8');
const rowsOf = async (name = `${NAME}.csv`): Promise<Record<string, string>[]> => parse(await read(name), { columns: true });
const manifestOf = async (name: string) => JSON.parse(await read(`${name}.manifest.json`));

/** A birth date that Postgres can hold and no roster can show. */
const createUnrenderable = (columns: Partial<Patient> = {}) => patientFactory.create({ birthDate: 'infinity', ...columns });

describe('exportPatientRoster', () => {
  it.each([
    ['no body', undefined],
    ['no format', {}],
    ['another format', { format: 'xlsx' }],
    ['a state by its name', { format: 'csv', marketState: 'Massachusetts' }],
    ['a name that leaves the folder', { format: 'csv', name: '../roster' }],
    ['a name that is hidden', { format: 'csv', name: 'rosters/.roster' }],
    ['an absolute name', { format: 'csv', name: '/etc/roster' }],
    ['an empty name', { format: 'csv', name: '' }],
    ['a limit of none', { format: 'csv', limit: 0 }],
    ['a flag as text', { format: 'csv', overwrite: 'yes' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body ?? null))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(await published()).toEqual([]);
  });

  it('publishes every patient who is not deleted, as a CSV, and then a manifest of it', async () => {
    const market = await marketFactory.create();
    const patient = await patientFactory.create({ birthDate: '1956-02-29', marketId: market.id, externalId: null });
    const other = await patientFactory.create({ status: 'discharged' });
    await patientFactory.create({ deletedAt: new Date() });

    const result = await exportPatientRoster({ format: 'csv', name: NAME });

    const text = await read(`${NAME}.csv`);
    expect(await rowsOf()).toEqual([
      {
        id: patient.id, externalId: '', lastName: patient.lastName, firstName: patient.firstName, birthDate: '1956-02-29',
        phone: `'${patient.phone}`, email: patient.email, zipCode: '10001', market: market.name, status: 'active',
      },
      expect.objectContaining({ id: other.id, market: '', status: 'discharged' }),
    ]);
    const facts = { name: `${NAME}.csv`, rows: 2, failed: 0, approximated: 0, bytes: Buffer.byteLength(text), sha256: createHash('sha256').update(text).digest('hex') };
    expect(result).toEqual({ isDryRun: false, processed: 2, succeeded: 2, manifest: `${NAME}.csv.manifest.json`, ...facts });
    expect(await manifestOf(`${NAME}.csv`)).toEqual({
      ...facts,
      format: 'csv',
      columns: text.slice(0, text.indexOf('\r\n')).split(','),
      generatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.+Z$/),
    });
  });

  it('tells of it, without a name in what it logs or sends', async () => {
    const { lastName } = await patientFactory.create();
    await exportPatientRoster({ format: 'csv', name: NAME });
    expect(datadog.trackEvent).toHaveBeenCalledTimes(1);
    expect(datadog.trackEvent).toHaveBeenCalledWith(expect.objectContaining({ text: `${NAME}.csv: 1 patients, 0 failed` }));
    expect(JSON.stringify([datadog.trackEvent, logger.log, logger.warn, logger.error].map((mock) => jest.mocked(mock).mock.calls))).not.toContain(lastName);
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\rx', '=HYPERLINK("http://example.com","x")'])('makes no formula of a name such as %j', async (lastName) => {
    await patientFactory.create({ lastName });
    await exportPatientRoster({ format: 'csv', name: NAME });
    expect((await rowsOf())[0]?.lastName).toBe(`'${lastName}`);
  });

  it.each(['O"Hara, Jr.', 'two\r\nlines', 'Żółć 李小龍 👩‍⚕️'])('keeps a name such as %j as it is in a CSV (RFC 4180)', async (lastName) => {
    await patientFactory.create({ lastName });
    await exportPatientRoster({ format: 'csv', name: NAME });
    expect((await rowsOf())[0]?.lastName).toBe(lastName);
  });

  it('exports one market alone, up to a limit, under a name that says which', async () => {
    const market = await marketFactory.create();
    await patientFactory.createList(3, { marketId: market.id });
    await patientFactory.create();
    const result = await exportPatientRoster({ format: 'csv', marketState: market.state, limit: 2 });
    expect(result).toMatchObject({ rows: 2, name: expect.stringMatching(new RegExp(`^patient-roster-${market.state}-\\d{4}-\\d\\d-\\d\\d\\.csv$`)) });
    expect(new Set((await rowsOf(result.name)).map((row) => row.market))).toEqual(new Set([market.name]));
    expect(await manifestOf(result.name)).toMatchObject({ marketState: market.state });
  });

  it('refuses a state without a market, and publishes an empty roster of a market without patients', async () => {
    await expect(exportPatientRoster({ format: 'csv', marketState: 'ZZ' })).rejects.toMatchObject({ status: 422 });
    expect(await published()).toEqual([]);
    const { state } = await marketFactory.create();
    await expect(exportPatientRoster({ format: 'csv', marketState: state, name: NAME })).resolves.toMatchObject({ processed: 0, rows: 0 });
    expect(await published()).toEqual(['all.csv', 'all.csv.manifest.json']);
  });

  it('counts a patient who cannot be rendered, keeps the failure with the run, and exports the others', async () => {
    const bad = await createUnrenderable();
    await patientFactory.createList(2);
    const run = new TestRun({ jobName: 'export-patient-roster' });
    await expect(run.do(() => exportPatientRoster({ format: 'csv', name: NAME }))).resolves.toMatchObject({ processed: 3, succeeded: 2, failed: 1, rows: 2 });
    expect(run.failures).toEqual([{ key: bad.id, error: new Error('birthDate is no day of the calendar') }]);
    expect(run.reports.at(-1)).toMatchObject({ processed: 3, succeeded: 2, failed: 1 });
    expect((await rowsOf()).map(({ id }) => id)).not.toContain(bad.id);
    expect(await manifestOf(`${NAME}.csv`)).toMatchObject({ rows: 2, failed: 1, runId: run.id });
  });

  it('publishes nothing when no patient can be rendered', async () => {
    await createUnrenderable();
    await expect(exportPatientRoster({ format: 'csv', name: NAME })).rejects.toMatchObject({ status: 422, data: { failed: 1 } });
    expect(await published()).toEqual([]);
    expect(datadog.trackEvent).not.toHaveBeenCalled();
  });

  it('publishes nothing of a run that is stopped halfway', async () => {
    await patientFactory.createList(3);
    const run = new TestRun({ jobName: 'export-patient-roster' });
    run.progress = () => run.controller.abort(new Error('the service stops'));
    await expect(run.do(() => exportPatientRoster({ format: 'csv', name: NAME }))).rejects.toThrow();
    expect(await published()).toEqual([]);
  });

  it('shows one moment, whatever is written while it reads', async () => {
    await knex.raw(
      `insert into patient ("firstName", "lastName", "birthDate", source) select 'First', 'Last' || n, date '1950-01-01', 'synthetic' from generate_series(1, 3000) n`,
    );
    const run = new TestRun({ jobName: 'export-patient-roster' });
    let change: PromiseLike<unknown> | undefined;
    // The first rows have been read by then, and the last ones have not.
    run.progress = () => void (change ??= knex('patient').update({ lastName: 'Later' }).then((rows) => rows));
    await run.do(async () => {
      await exportPatientRoster({ format: 'csv', name: NAME });
      await change;
    });
    const names = (await rowsOf()).map(({ lastName }) => lastName);
    expect(names).toHaveLength(3_000);
    expect(names).not.toContain('Later');
    await expect(knex('patient').where({ lastName: 'Later' }).count()).resolves.toEqual([{ count: '3000' }]);
  });

  it('writes nothing in a dry run, and says what the file would be', async () => {
    await patientFactory.createList(2);
    const body = { format: 'csv', name: NAME };
    const dry = await new TestRun({ isDryRun: true }).do(() => exportPatientRoster({ ...body, isDryRun: true }));
    expect(dry).toEqual(await exportPatientRoster({ ...body, isDryRun: true }));
    expect(await published()).toEqual([]);
    expect(datadog.trackEvent).not.toHaveBeenCalled();
    expect(await exportPatientRoster(body)).toEqual({ ...dry, isDryRun: false });
  });

  it('leaves what is published alone, unless it is told to overwrite it', async () => {
    await patientFactory.create();
    const first = await exportPatientRoster({ format: 'csv', name: NAME });
    await patientFactory.create();
    for (const isDryRun of [true, false]) {
      await expect(exportPatientRoster({ format: 'csv', name: NAME, isDryRun })).rejects.toMatchObject({ status: 409 });
    }
    expect(await manifestOf(`${NAME}.csv`)).toMatchObject({ rows: 1, sha256: first.sha256 });
    const second = await exportPatientRoster({ format: 'csv', name: NAME, overwrite: true });
    expect(await rowsOf()).toHaveLength(2);
    expect(await manifestOf(`${NAME}.csv`)).toMatchObject({ rows: 2, sha256: second.sha256 });
  });

  it('runs over HTTP', async () => {
    await patientFactory.create();
    const answer = await supertest(testApp(testRegistry(path.resolve(__dirname, '..')))).post('/jobs/export-patient-roster').send({ format: 'csv', name: NAME }).expect(200);
    expect(answer.body).toMatchObject({ isDryRun: false, rows: 1 });
    expect(await manifestOf(`${NAME}.csv`)).toMatchObject({ runId: answer.get('Job-Run-Id') });
  });
});

describe('exportPatientRoster as a PDF', () => {
  const exportPdf = async (body: object = {}) => {
    const result = await exportPatientRoster({ format: 'pdf', name: 'roster', ...body });
    return { result, pages: await readPdf(path.join(folder, 'roster.pdf')) };
  };

  it('has the patients in the order of their names, on pages that are numbered and marked confidential', async () => {
    const market = await marketFactory.create();
    for (const number of [40, 3, 27]) await patientFactory.createList(1, { lastName: `Name${number}`, birthDate: '1950-07-01', marketId: market.id });
    for (let number = 50; number < 110; number++) await patientFactory.create({ lastName: `Name${number}`, marketId: market.id });
    const { result, pages } = await exportPdf({ marketState: market.state });
    expect(result).toMatchObject({ rows: 63, approximated: 0 });
    expect(pages).toHaveLength(2);
    for (const [at, page] of pages.entries()) {
      expect(page).toContain('CONFIDENTIAL');
      expect(page).toContain(`Patient roster: ${market.name}`);
      expect(page).toContain(`Page ${at + 1}`);
    }
    const names = [...pages.join('\n').matchAll(/^(Name\d+), /gm)].map(([, name]) => name);
    expect(names).toHaveLength(63);
    const { rows } = await knex.raw('select "lastName" from patient order by "lastName", "firstName", id');
    expect(names).toEqual(rows.map(({ lastName }: Patient) => lastName));
    expect(pages.join('\n')).toContain('1950-07-01');
  });

  it('prints Western European names as they are, and others as near as it can, marked and counted', async () => {
    for (const lastName of ['A Müller', 'B Ørsted', 'C Kővári', 'D 李小龍', 'E Zoë…']) await patientFactory.create({ lastName, firstName: 'First' });
    const { result, pages } = await exportPdf();
    expect(result.approximated).toBe(2);
    for (const name of ['A Müller, First', 'B Ørsted, First', '* C Kovári, First', '* D ???, First', 'E Zoë…, First']) expect(pages[0]).toContain(name);
    expect(await manifestOf('roster.pdf')).toMatchObject({ rows: 5, approximated: 2 });
  });

  it('cuts what is longer than its column, and is a page even of nobody', async () => {
    expect((await exportPdf()).pages).toEqual([expect.stringContaining('Page 1')]);
    await patientFactory.create({ email: `${'x'.repeat(300)}@example.com` });
    const { pages } = await exportPdf({ overwrite: true });
    expect(pages[0]).toMatch(/x{20,60}…/);
  });
});
