import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { marketFactory } from '@commons/backend/__tests__/helpers/factories/market-factory.js';
import { patientFactory } from '@commons/backend/__tests__/helpers/factories/patient-factory.js';
import { zipCodeFactory } from '@commons/backend/__tests__/helpers/factories/zip-code-factory.js';
import { jobOverHttp } from '@commons/backend/__tests__/helpers/job-over-http.js';
import { refusingWrites } from '@commons/backend/__tests__/helpers/refusing-writes.js';
import { databaseTime, rowsPerTransaction } from '@commons/backend/__tests__/helpers/rows-per-transaction.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import { untilAQueryWaits } from '@commons/backend/__tests__/helpers/until-queries-wait.js';
import main, { backfillPatientMarkets } from '@commons/backend/jobs/backfill-patient-markets.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import type { Patient } from '@commons/backend/models/tables.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';

jest.mock('@commons/backend/lib/logging.js');
jest.mock('@commons/backend/lib/process-in-batches.js', () => {
  const actual = jest.requireActual('@commons/backend/lib/process-in-batches.js');
  return { ...actual, processInBatches: jest.fn(actual.processInBatches) };
});
jest.mock('@commons/backend/models/user.js', () => {
  const actual = jest.requireActual('@commons/backend/models/user.js');
  return { ...actual, findOrCreateAttributionUser: jest.fn(actual.findOrCreateAttributionUser) };
});

let newYork: string;
let ohio: string;

beforeEach(async () => {
  jest.clearAllMocks();
  await knex.raw('truncate patient, market, zip_code, "user" cascade');
  newYork = (await marketFactory.create({ state: 'NY' })).id;
  ohio = (await marketFactory.create({ state: 'OH' })).id;
  await zipCodeFactory.create({ code: '10001', state: 'NY' });
  await zipCodeFactory.create({ code: '43004', state: 'OH' });
  await zipCodeFactory.create({ code: '94105', state: 'CA' });
  await zipCodeFactory.create({ code: '09001', state: null, stateName: null });
});

/** Ids in their own order, which is that of the batches. */
const createPatients = async (count: number, columns: object = {}): Promise<string[]> => {
  const patients = await knex('patient').insert(patientFactory.buildList(count, columns)).returning<{ id: string }[]>('id');
  return patients.map(({ id }) => id).toSorted();
};

const UPDATE = { table: 'patient', on: 'update' } as const;

const marketOf = async (id: string): Promise<string | null> => (await knex<Patient>('patient').where({ id }).first('marketId'))!.marketId;
const withMarket = (): Promise<string[]> => knex('patient').whereNotNull('marketId').orderBy('id').pluck('id');

/** What is in each row, and which version of it: any write, even of the same values, makes another. */
const allRows = () => knex('patient').select('*', knex.raw('xmin::text, ctid::text')).orderBy('id');

/** Patients of every kind that the job must leave alone. */
const createOthers = async () => {
  await createPatients(2, { zipCode: null });
  await createPatients(1, { zipCode: '00000' });
  await createPatients(3, { zipCode: '94105' });
  await createPatients(1, { zipCode: '09001' });
  await createPatients(1, { zipCode: '10001', marketId: ohio });
  await createPatients(2, { zipCode: '10001', deletedAt: new Date() });
  await createPatients(2, { zipCode: null, deletedAt: new Date() });
};
const SKIPPED = { noZipCode: 2, unknownZipCode: 1, noMarketInState: 4 };
const NO_ONE = { noZipCode: 0, unknownZipCode: 0, noMarketInState: 0 };

describe('backfillPatientMarkets', () => {
  it.each([
    ['no body', null],
    ['a batch of none', { batchSize: 0 }],
    ['half a row', { batchSize: 1.5 }],
    ['a batch that would hold its locks for long', { batchSize: 10_001 }],
    ['a number as text', { batchSize: '100' }],
    ['a limit of none', { limit: 0 }],
    ['a limit of null', { limit: null }],
    ['a flag as text', { isDryRun: 'true' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(processInBatches).not.toHaveBeenCalled();
  });

  it('goes in transactions of the size asked for, in the order of the ids', async () => {
    const ids = await createPatients(22, { updatedAt: '2020-01-01' });
    const since = await databaseTime();
    await backfillPatientMarkets({ batchSize: 7, limit: 20 });
    expect(await rowsPerTransaction('patient', since)).toEqual([7, 7, 6]);
    expect(await knex('patient').whereNotNull('marketId').orderBy(['updatedAt', 'id']).pluck('id')).toEqual(ids.slice(0, 20));
  });

  it('writes nothing when it cannot say who wrote it', async () => {
    await createPatients(1);
    jest.mocked(findOrCreateAttributionUser).mockRejectedValueOnce(new Error('no users today'));
    await expect(backfillPatientMarkets({})).rejects.toMatchObject({ data: { processed: 1, succeeded: 0, failed: 1 } });
    expect(await withMarket()).toEqual([]);
  });

  it('gives patients the market of their ZIP code, says who did it and when, and leaves all others alone', async () => {
    const [inNewYork] = await createPatients(1, { zipCode: '10001', updatedAt: '2020-01-01' });
    const [inOhio] = await createPatients(1, { zipCode: '43004', updatedAt: '2020-01-01' });
    await createOthers();
    const before = await allRows();
    await expect(backfillPatientMarkets({})).resolves.toEqual({
      isDryRun: false, processed: 2, succeeded: 2, failed: 0, batchSize: 1_000, limit: undefined, skipped: SKIPPED,
    });

    expect(await marketOf(inNewYork!)).toBe(newYork);
    expect(await marketOf(inOhio!)).toBe(ohio);
    const job = await knex('user').where({ email: 'backfill-patient-markets@jobs.invalid' }).first();
    const written = await knex<Patient>('patient').whereIn('id', [inNewYork!, inOhio!]);
    expect(written.map(({ updatedBy }) => updatedBy)).toEqual([job.id, job.id]);
    for (const { updatedAt } of written) expect(updatedAt.getFullYear()).toBeGreaterThan(2020);
    const isOther = ({ id }: { id: string }) => id !== inNewYork && id !== inOhio;
    expect((await allRows()).filter(isOther)).toEqual(before.filter(isOther));
  });

  it('finds nothing left to do the second time, however many can be given no market', async () => {
    await createPatients(5);
    await createOthers();
    await backfillPatientMarkets({ batchSize: 2 });
    const before = await allRows();
    await expect(backfillPatientMarkets({ batchSize: 2 })).resolves.toMatchObject({ processed: 0, succeeded: 0, failed: 0, skipped: SKIPPED });
    expect(await allRows()).toEqual(before);
  });

  it('meets again those who were skipped, once there is a market for them', async () => {
    const ids = await createPatients(3, { zipCode: '94105' });
    await expect(backfillPatientMarkets({})).resolves.toMatchObject({ processed: 0, skipped: { noMarketInState: 3 } });
    await marketFactory.create({ state: 'CA' });
    await expect(backfillPatientMarkets({})).resolves.toMatchObject({ processed: 3, skipped: { noMarketInState: 0 } });
    expect(await withMarket()).toEqual(ids);
  });

  it.each([1, 3, 10, 11, 1_000])('gives every one of ten patients a market, in batches of %d', async (batchSize) => {
    const ids = await createPatients(10);
    await expect(backfillPatientMarkets({ batchSize })).resolves.toMatchObject({ processed: 10, succeeded: 10, skipped: NO_ONE });
    expect(await withMarket()).toEqual(ids);
  });

  it.each([1, 4, 5, 9])('gives %d patients a market when that is the limit, and the next run goes on', async (limit) => {
    const ids = await createPatients(10);
    await expect(backfillPatientMarkets({ batchSize: 4, limit })).resolves.toMatchObject({ processed: limit, limit });
    expect(await withMarket()).toEqual(ids.slice(0, limit));
    await expect(backfillPatientMarkets({ batchSize: 4 })).resolves.toMatchObject({ processed: 10 - limit });
    expect(await withMarket()).toEqual(ids);
  });

  it('counts a patient whose row cannot be written as failed, by the id, and writes the others of the batch', async () => {
    const ids = await createPatients(10);
    const bad = ids[6]!;
    const run = new TestRun();
    const running = refusingWrites({ ...UPDATE, when: `new.id = '${bad}'` }, () => run.do(() => backfillPatientMarkets({ batchSize: 5 })));
    await expect(running).resolves.toMatchObject({ processed: 10, succeeded: 9, failed: 1 });
    expect(run.failures.map(({ key }) => key)).toEqual([bad]);
    expect(await withMarket()).toEqual(ids.filter((id) => id !== bad));
  });

  it('leaves a patient alone whom somebody deletes while it comes to them', async () => {
    const ids = await createPatients(3);
    const deleting = await knex.transaction();
    await deleting('patient').where({ id: ids[1] }).update({ deletedAt: new Date() });
    const running = backfillPatientMarkets({});
    await untilAQueryWaits();
    await deleting.commit();
    await expect(running).resolves.toMatchObject({ processed: 2, succeeded: 2 });
    expect(await withMarket()).toEqual([ids[0], ids[2]]);
  });

  it('stops between two batches when its run is to stop', async () => {
    const ids = await createPatients(10);
    const run = new TestRun();
    jest.spyOn(run, 'progress').mockImplementation(() => run.controller.abort(new Error('the service stops')));
    await expect(run.do(() => backfillPatientMarkets({ batchSize: 4 }))).rejects.toThrow('the service stops');
    expect(await withMarket()).toEqual(ids.slice(0, 4));
    await expect(backfillPatientMarkets({})).resolves.toMatchObject({ processed: 6 });
    expect(await withMarket()).toEqual(ids);
  });

  it('logs counts, and nothing of a patient', async () => {
    await createPatients(1, { firstName: 'S3cret', lastName: 'S3cret', zipCode: '00000' });
    await backfillPatientMarkets({});
    const logged = JSON.stringify([logger.log, logger.warn, logger.error, logger.debug].map((level) => jest.mocked(level).mock.calls));
    expect(logged).toContain('"unknownZipCode":1');
    expect(logged).not.toMatch(/S3cret|00000/);
  });
});

describe('POST /jobs/backfill-patient-markets', () => {
  const { post } = jobOverHttp('backfill-patient-markets');

  it('says in a dry run what the real one then does, and writes nothing; a second one finds nothing left to do', async () => {
    await createPatients(25);
    await createOthers();
    const before = await allRows();
    const counts = { processed: 25, succeeded: 25, failed: 0, batchSize: 10, skipped: SKIPPED };

    const dry = await post({ batchSize: 10, isDryRun: true });
    expect(dry.answer.body).toEqual({ isDryRun: true, ...counts });
    expect(dry.run).toMatchObject({ status: 'succeeded', isDryRun: true });
    expect(dry.writes).toEqual({});
    expect(await allRows()).toEqual(before);
    expect(await knex('user')).toEqual([]);

    const real = await post({ batchSize: 10 });
    expect(real.answer.body).toEqual({ isDryRun: false, ...counts });
    expect(real.writes).toEqual({ user: { insert: 1 }, patient: { update: 25 } });

    const second = await post({ batchSize: 10 });
    expect(second.answer.body).toMatchObject({ processed: 0, succeeded: 0, failed: 0, skipped: SKIPPED });
    expect(second.writes).toEqual({});
  });

  it('names every field that is wrong', async () => {
    const { answer } = await post({ batchSize: 0, limit: 'all', isDryRun: 'no' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path: field }: { path: string }) => field)).toEqual(['batchSize', 'limit', 'isDryRun']);
  });

  it('goes on, when it is resumed, behind the last batch that was committed, and writes no row of it again', async () => {
    const ids = await createPatients(50);
    const { answer, run } = await refusingWrites({ ...UPDATE, when: `new.id = '${ids[34]}'`, at: 'the commit' }, () => post({ batchSize: 10 }));
    expect(answer.status).toBe(500);
    expect(run).toMatchObject({ status: 'failed', attempt: 1 });
    expect(await withMarket()).toEqual(ids.slice(0, 30));
    const written = (await allRows()).slice(0, 30);

    const resumed = await post({}, `/runs/${run.id}/resume`);
    expect(resumed.answer.body).toMatchObject({ processed: 50, succeeded: 50, failed: 0 });
    expect(resumed.run).toMatchObject({ id: run.id, status: 'succeeded', attempt: 2 });
    // Of this attempt alone.
    expect(resumed.writes).toEqual({ patient: { update: 20 } });
    expect(await withMarket()).toEqual(ids);
    expect((await allRows()).slice(0, 30)).toEqual(written);
  });
});
