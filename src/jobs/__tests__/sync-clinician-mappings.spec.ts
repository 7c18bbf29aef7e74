import path from 'node:path';
import supertest from 'supertest';
import { buildRequest } from '@commons/backend/__tests__/helpers/build-request.js';
import { type ClinicianDirectoryServer, startClinicianDirectory } from '@commons/backend/__tests__/helpers/clinician-directory-server.js';
import { clinicianMappingFactory } from '@commons/backend/__tests__/helpers/factories/clinician-mapping-factory.js';
import { userFactory } from '@commons/backend/__tests__/helpers/factories/user-factory.js';
import { testApp, testRegistry } from '@commons/backend/__tests__/helpers/test-app.js';
import { TestRun } from '@commons/backend/__tests__/helpers/test-scope.js';
import main, { syncClinicianMappings } from '@commons/backend/jobs/sync-clinician-mappings.js';
import { applySyncStep, MappingConflict } from '@commons/backend/jobs/helpers/apply-clinician-sync.js';
import { openClinicianDirectory } from '@commons/backend/jobs/helpers/clinician-directory.js';
import { type LocalMapping, planSync } from '@commons/backend/jobs/helpers/clinician-sync-plan.js';
import { envConfig } from '@commons/backend/lib/env-config.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { npiOf } from '@commons/backend/models/seed/npi.js';
import type { ClinicianMapping } from '@commons/backend/models/tables.js';

jest.mock('@commons/backend/lib/logging.js');
jest.mock('@commons/backend/lib/env-config.js', () => {
  const actual = jest.requireActual<{ envConfig: () => object }>('@commons/backend/lib/env-config.js');
  return { ...actual, envConfig: jest.fn(actual.envConfig) };
});

const realConfig = envConfig();
const TOKEN = 'S3cret';
const AGREED = { displayName: 'Agreed', email: 'agreed@example.com' };
const HERE = { displayName: 'Changed here', email: 'here@example.com' };
const THERE = { displayName: 'Changed there', email: 'there@example.com' };

const loggers = [logger.log, logger.warn, logger.error, logger.debug];
const applyAll = () => syncClinicianMappings({ mode: 'apply-all' });

describe('planSync', () => {
  const local = (overrides: Partial<LocalMapping> = {}): LocalMapping => ({ id: 'm', npi: '1', externalId: 'x', ...AGREED, syncedState: AGREED, ...overrides });
  const remote = (overrides: object = {}) => ({ id: 'x', npi: '1', etag: 'e', ...AGREED, ...overrides });

  it.each([
    ['none', 'nothing has changed', local(), remote()],
    ['link', 'both say the same and were never linked', local({ externalId: null, syncedState: null }), remote()],
    ['link', 'both have changed to the same', local(HERE), remote(HERE)],
    ['push', 'it has changed here alone', local(HERE), remote()],
    ['pull', 'it has changed there alone', local(), remote(THERE)],
    ['conflict', 'both have changed', local(HERE), remote(THERE)],
    ['conflict', 'both have changed, each another field', local({ displayName: 'Here' }), remote({ email: 'there@example.com' })],
    ['conflict', 'they differ and have never agreed', local({ ...HERE, externalId: null, syncedState: null }), remote()],
    ['conflict', 'the NPI of a linked one differs', local(), remote({ npi: '2' })],
    ['create', 'the directory has never had it', local({ externalId: null, syncedState: null }), undefined],
    ['gone', 'the directory no longer has it', local(), undefined],
  ])('plans to %s when %s', (action, _when, mine, theirs) => {
    expect(planSync([mine], theirs ? [theirs] : [], new Map())).toEqual([expect.objectContaining({ action, local: mine })]);
  });

  it('takes one that is new there for ours by its e-mail, once, and else leaves it to people', () => {
    const users = new Map([['agreed@example.com', { id: 'u' }]]);
    const upper = remote({ email: 'Agreed@Example.com' });
    expect(planSync([], [upper], users)).toEqual([{ action: 'adopt', remote: upper, userId: 'u' }]);
    expect(planSync([], [upper, remote({ id: 'y', npi: '2' })], users).map(({ action }) => action)).toEqual(['adopt', 'unknown']);
    expect(planSync([], [upper], new Map()).map(({ action }) => action)).toEqual(['unknown']);
  });

  it('gives a directory entry to the mapping that is linked to it, whatever its NPI has become', () => {
    const linked = local({ id: 'a', npi: '1' });
    const other = local({ id: 'b', npi: '2', externalId: null, syncedState: null });
    expect(planSync([linked, other], [remote({ npi: '2' })], new Map()).map(({ action }) => action)).toEqual(['conflict', 'create']);
  });
});

describe('syncClinicianMappings', () => {
  let directory: ClinicianDirectoryServer;

  beforeEach(async () => {
    directory = await startClinicianDirectory();
    jest.mocked(envConfig).mockReturnValue({ ...realConfig, clinicianDirectoryUrl: directory.origin, clinicianDirectoryToken: TOKEN });
    for (const log of loggers) jest.mocked(log).mockReset();
    await knex('clinician_mapping').delete();
    await knex('user').delete();
  });

  afterEach(() => directory.close());

  let linked = 0;

  /** A pair on which both sides last agreed, and what each says now. */
  async function createPair({ here = AGREED, there = AGREED }: { here?: typeof AGREED; there?: typeof AGREED } = {}): Promise<ClinicianMapping> {
    const externalId = `linked-${++linked}`;
    const { id: userId } = await userFactory.create();
    const mapping = await clinicianMappingFactory.create({ userId, externalId, ...here, syncedState: AGREED });
    directory.add({ id: externalId, npi: mapping.npi, ...there });
    return mapping;
  }

  const find = async ({ id }: { id: string }): Promise<ClinicianMapping> => knex('clinician_mapping').where({ id }).first();
  const stored = ({ externalId }: { externalId: string | null }) => directory.clinicians.get(externalId!)!;
  const everything = async () => [await knex('clinician_mapping').select('*').select(knex.raw('xmin::text')).orderBy('id'), await knex('user').orderBy('id')];
  /** One of each kind. */
  const createAll = async () => {
    const pairs = [await createPair(), await createPair({ here: HERE }), await createPair({ there: THERE }), await createPair({ here: HERE, there: THERE })];
    const fresh = await clinicianMappingFactory.create();
    const gone = await clinicianMappingFactory.create({ externalId: 'gone' });
    const user = await userFactory.create();
    directory.add({ id: 'ours', npi: npiOf('112345678'), displayName: 'Ours', email: user.email });
    directory.add({ id: 'unknown', npi: npiOf('112345679'), displayName: 'Nobody', email: 'nobody@example.com' });
    return { pairs, fresh, gone, user };
  };

  it.each([
    ['no body', null],
    ['no mode', {}],
    ['another mode', { mode: 'apply' }],
    ['a preview that is no dry run', { mode: 'preview', isDryRun: false }],
    ['a single one that is not named', { mode: 'apply-single' }],
    ['a single one that is named twice', { mode: 'apply-single', npi: '1234567890', mappingId: '0198c5f0-0000-7000-8000-000000000000' }],
    ['an NPI that is too short', { mode: 'apply-single', npi: '123' }],
    ['a mapping by no id', { mode: 'apply-single', mappingId: 'x' }],
    ['a third side', { mode: 'apply-single', npi: '1234567890', prefer: 'newest' }],
  ])('refuses %s', async (_what, body) => {
    await expect(main(buildRequest(body))).rejects.toMatchObject({ status: 400, data: 'Invalid request body' });
    expect(directory.received).toEqual([]);
  });

  it('brings both sides together, and leaves to people what they must decide', async () => {
    const { pairs: [same, pushed, pulled, conflict], fresh, gone, user } = await createAll();
    await expect(applyAll()).resolves.toMatchObject({
      isDryRun: false, mode: 'apply-all', processed: 8, succeeded: 5, failed: 0, forPeople: 3,
      unchanged: 1, pushed: 1, pulled: 1, created: 1, adopted: 1, conflicts: 1, gone: 1, unknown: 1, linked: 0, unreadable: 0, itemsLeftOut: 0,
    });
    expect(stored(pushed!)).toMatchObject(HERE);
    expect(await find(pushed!)).toMatchObject({ ...HERE, syncedState: HERE, syncedAt: expect.any(Date) });
    expect(await find(pulled!)).toMatchObject({ ...THERE, syncedState: THERE });
    expect(await find(conflict!)).toEqual(conflict);
    expect(stored(conflict!)).toMatchObject({ ...THERE, version: 1 });
    expect(await find(same!)).toEqual(same);
    expect(await find(gone)).toEqual(gone);
    const created = await find(fresh);
    expect(stored(created)).toMatchObject({ npi: fresh.npi, displayName: fresh.displayName, email: fresh.email });
    const adopted = await knex('clinician_mapping').where({ userId: user.id }).first();
    expect(adopted).toMatchObject({ externalId: 'ours', displayName: 'Ours', syncedState: { displayName: 'Ours', email: user.email } });
    await expect(knex('user').where({ id: adopted.createdBy }).first()).resolves.toMatchObject({ role: 'attribution' });
  });

  it('finds nothing to write the second time', async () => {
    await createAll();
    await applyAll();
    const [before, writes] = [await everything(), directory.writes()];
    await expect(applyAll()).resolves.toMatchObject({ processed: 8, unchanged: 5, forPeople: 3, failed: 0, pushed: 0, pulled: 0, created: 0, adopted: 0, linked: 0 });
    expect(await everything()).toEqual(before);
    expect(directory.writes()).toEqual(writes);
  });

  it.each([
    ['a preview', { mode: 'preview' }],
    ['a dry run', { mode: 'apply-all', isDryRun: true }],
  ])('says in %s what it would do, and writes nothing on either side', async (_what, body) => {
    const { pairs: [, pushed] } = await createAll();
    const before = await everything();
    const counts = { isDryRun: true, processed: 8, succeeded: 5, forPeople: 3, pushed: 1, pulled: 1, created: 1, adopted: 1 };
    const result = await new TestRun({ isDryRun: true }).do(() => syncClinicianMappings(body));
    expect(result).toMatchObject(counts);
    expect(result.items).toContainEqual({ npi: pushed!.npi, mappingId: pushed!.id, externalId: pushed!.externalId, action: 'push', reason: null });
    expect(result.items).toHaveLength(7);
    await expect(syncClinicianMappings(body)).resolves.toEqual(result);
    expect(await everything()).toEqual(before);
    expect(directory.writes()).toEqual([]);
  });

  it('puts no token, name or address of a person on record', async () => {
    const { pairs, fresh } = await createAll();
    const result = await applyAll();
    const record = JSON.stringify([result, loggers.map((log) => jest.mocked(log).mock.calls)]);
    for (const secret of [TOKEN, HERE.email, THERE.displayName, pairs[0]!.email, fresh.displayName]) expect(record).not.toContain(secret);
    expect(new Set(directory.received.map(({ headers }) => headers.authorization))).toEqual(new Set([`Bearer ${TOKEN}`]));
  });

  it.each(['npi', 'mappingId'])('does it for one alone, named by its %s', async (name) => {
    const { pairs: [, pushed, pulled] } = await createAll();
    const named = name === 'npi' ? { npi: pushed!.npi } : { mappingId: pushed!.id };
    await expect(syncClinicianMappings({ mode: 'apply-single', ...named })).resolves.toMatchObject({ processed: 1, succeeded: 1, pushed: 1 });
    expect(directory.writes()).toEqual([`PUT /clinicians/${pushed!.externalId}`]);
    expect(await find(pulled!)).toEqual(pulled);
  });

  it('says that one is nowhere', async () => {
    await expect(syncClinicianMappings({ mode: 'apply-single', npi: npiOf('112345678') })).rejects.toMatchObject({ status: 404 });
  });

  it.each([
    ['local', HERE],
    ['remote', THERE],
  ])('settles a conflict for the %s side when told to', async (prefer, winner) => {
    const conflict = await createPair({ here: HERE, there: THERE });
    const body = { mode: 'apply-single', npi: conflict.npi };
    await expect(syncClinicianMappings(body)).resolves.toMatchObject({ conflicts: 1, items: [{ action: 'conflict', reason: 'Both sides have changed since they last agreed.' }] });
    expect(await find(conflict)).toEqual(conflict);
    await expect(syncClinicianMappings({ ...body, prefer })).resolves.toMatchObject({ succeeded: 1, conflicts: 0 });
    expect(await find(conflict)).toMatchObject({ ...winner, syncedState: winner });
    expect(stored(conflict)).toMatchObject(winner);
  });

  it('does not overwrite what changed there between reading and writing (412)', async () => {
    const pair = await createPair({ here: HERE });
    directory.interfere = ({ method }) => {
      if (method === 'PUT') Object.assign(stored(pair), THERE, { version: 2 });
    };
    await expect(applyAll()).resolves.toMatchObject({ pushed: 0, conflicts: 1, failed: 0, items: [{ action: 'conflict', reason: expect.stringContaining('412') }] });
    expect(stored(pair)).toMatchObject(THERE);
    expect(await find(pair)).toEqual(pair);
  });

  it('does not overwrite what changed here between reading and writing', async () => {
    const pair = await createPair({ there: THERE });
    const remote = { ...stored(pair), etag: '"1"' };
    await knex('clinician_mapping').where({ id: pair.id }).update(HERE);
    await expect(applySyncStep({ action: 'pull', local: pair, remote }, openClinicianDirectory(), undefined)).rejects.toBeInstanceOf(MappingConflict);
    expect(await find(pair)).toEqual({ ...pair, ...HERE });
  });

  it('makes one clinician of a creation whose answer was lost', async () => {
    const fresh = await clinicianMappingFactory.create();
    let posts = 0;
    directory.interfere = ({ method }, res) => {
      if (method !== 'POST' || ++posts > 1) return false;
      // It was made all the same.
      directory.add({ id: 'made-0', npi: fresh.npi, displayName: fresh.displayName, email: fresh.email });
      res.destroy();
      return true;
    };
    await expect(applyAll()).resolves.toMatchObject({ created: 0, conflicts: 1 });
    await expect(applyAll()).resolves.toMatchObject({ linked: 1, created: 0, failed: 0 });
    expect(await find(fresh)).toMatchObject({ externalId: 'made-0' });
    expect(directory.clinicians.size).toBe(1);
  });

  it('names the mapping as the key when it creates, so that a repeated creation makes one', async () => {
    const fresh = await clinicianMappingFactory.create();
    await applyAll();
    await knex('clinician_mapping').where({ id: fresh.id }).update({ externalId: null, syncedState: null });
    directory.interfere = ({ method, url }, res) => method === 'GET' && url.pathname === '/clinicians' && Boolean(res.end(JSON.stringify({ clinicians: [] })));
    await expect(applyAll()).resolves.toMatchObject({ created: 1 });
    expect(directory.clinicians.size).toBe(1);
    expect(directory.received.filter(({ method }) => method === 'POST').map(({ headers }) => headers['idempotency-key'])).toEqual([fresh.id, fresh.id]);
  });

  it('goes on after one that fails, and says which', async () => {
    const [bad, good] = [await createPair({ here: HERE }), await createPair({ here: HERE })];
    directory.interfere = ({ url }, res) => url.pathname.endsWith(bad.externalId!) && Boolean(res.writeHead(422).end());
    const run = new TestRun({ jobName: 'sync-clinician-mappings' });
    const result = await run.do(applyAll);
    expect(result).toMatchObject({ processed: 2, succeeded: 1, failed: 1, pushed: 1 });
    expect(result.items).toContainEqual(expect.objectContaining({ npi: bad.npi, action: 'failed', reason: expect.stringContaining('422') }));
    expect(run.failures.map(({ key }) => key)).toEqual([bad.npi]);
    expect(await find(bad)).toEqual(bad);
    expect(await find(good)).toMatchObject({ syncedState: HERE });
  });

  it('fails, with its report, where not one could be written; one that needs nothing is enough to succeed', async () => {
    const bad = await createPair({ here: HERE });
    directory.interfere = ({ method }, res) => method === 'PUT' && Boolean(res.writeHead(422).end());
    await expect(applyAll()).rejects.toMatchObject({
      status: 502, data: { processed: 1, succeeded: 0, failed: 1, items: [{ npi: bad.npi, action: 'failed', reason: expect.stringContaining('422') }] },
    });
    await createPair({});
    await expect(applyAll()).resolves.toMatchObject({ processed: 2, unchanged: 1, failed: 1 });
  });

  it('tries a directory again that answers 503', async () => {
    const pair = await createPair({ here: HERE });
    let refused = 0;
    directory.interfere = (_request, res) => ++refused % 2 === 1 && Boolean(res.writeHead(503, { 'Retry-After': '0' }).end());
    await expect(applyAll()).resolves.toMatchObject({ pushed: 1, failed: 0 });
    expect(stored(pair)).toMatchObject(HERE);
  });

  it.each<[string, ClinicianDirectoryServer['interfere']]>([
    ['always answers 503', (_request, res) => Boolean(res.writeHead(503, { 'Retry-After': '0' }).end())],
    ['refuses the token', (_request, res) => Boolean(res.writeHead(401).end())],
    ['breaks off', (_request, res) => { res.writeHead(200, { 'Content-Length': 1_000 }); return res.write('{"clinicians": [', () => res.destroy()) || true; }],
    ['breaks off at its second page', ({ url }, res) => url.searchParams.has('from') && Boolean(res.writeHead(500, { 'Retry-After': '0' }).end())],
    ['answers with what is no directory', (_request, res) => Boolean(res.end('{"people": []}'))],
    ['names a next page on another host', (_request, res) => Boolean(res.end('{"clinicians": [], "next": "http://directory.invalid/clinicians"}'))],
    ['leads in a circle', (_request, res) => Boolean(res.end('{"clinicians": [], "next": "/clinicians"}'))],
  ])('does nothing at all when the directory %s', async (_what, interfere) => {
    await createAll();
    const before = await everything();
    directory.interfere = interfere;
    await expect(applyAll()).rejects.toMatchObject({ status: 502 });
    expect(await everything()).toEqual(before);
    expect(directory.writes()).toEqual([]);
  });

  it('stops when the directory fails for one after the other', async () => {
    for (let i = 0; i < 25; i++) await createPair({ here: HERE });
    directory.interfere = ({ method }, res) => method === 'PUT' && Boolean(res.writeHead(422).end());
    await expect(applyAll()).rejects.toThrow('20');
    expect(directory.writes().length).toBeLessThanOrEqual(25);
  });

  it('counts entries that it cannot read, and goes on', async () => {
    const pair = await createPair({ here: HERE });
    directory.add({ id: 'bad', npi: 'none', displayName: 'Bad', email: 'bad@example.com' });
    await expect(applyAll()).resolves.toMatchObject({ processed: 2, failed: 1, unreadable: 1, pushed: 1 });
    expect(stored(pair)).toMatchObject(HERE);
  });

  it('previews the bundled snapshot where no directory is configured, and refuses to apply', async () => {
    jest.mocked(envConfig).mockReturnValue(realConfig);
    await expect(syncClinicianMappings({ mode: 'preview' })).resolves.toMatchObject({ processed: 3, unknown: 3, unreadable: 0 });
    await expect(applyAll()).rejects.toMatchObject({ status: 500, data: expect.stringContaining('CLINICIAN_DIRECTORY_URL') });
  });

  it('runs over HTTP, where a preview is a dry run by itself', async () => {
    await createAll();
    const app = testApp(testRegistry(path.resolve(__dirname, '..')));
    const preview = await supertest(app).post('/jobs/sync-clinician-mappings').send({ mode: 'preview' }).expect(200);
    await expect(knex('batch_job_run').where({ id: preview.get('Job-Run-Id') }).first()).resolves.toMatchObject({ isDryRun: true, writes: null });
    const applied = await supertest(app).post('/jobs/sync-clinician-mappings').send({ mode: 'apply-all' }).expect(200);
    expect(applied.body).toMatchObject({ succeeded: 5, forPeople: 3 });
  });
});
