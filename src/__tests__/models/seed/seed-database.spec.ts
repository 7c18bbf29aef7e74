import { execFile } from 'node:child_process';
import path from 'node:path';
import { openFaker } from '@commons/backend/models/seed/open-faker.js';
import { readRealZipCodes } from '@commons/backend/models/seed/real-zip-codes.js';
import { seedDatabase, type SeedOptions } from '@commons/backend/models/seed/seed-database.js';
import { syntheticPatients } from '@commons/backend/models/seed/synthetic-patients.js';
import knex from '@commons/backend/lib/knex.js';
import { isNpi } from '@commons/backend/models/seed/npi.js';
import { nameForm } from '@commons/backend/jobs/shared/same-person.js';
import type { ClinicianMapping, Patient, User } from '@commons/backend/models/tables.js';
import { builtProgram } from '../../helpers/built-program.js';
import { patientFactory } from '../../helpers/factories/patient-factory.js';
import { userFactory } from '../../helpers/factories/user-factory.js';

const ROOT = path.resolve(__dirname, '../../../..');
const TABLES = ['task', 'workflow', 'patient', 'clinician_mapping', 'market', 'user'];
/** The states, the District of Columbia, and the Marshall Islands, which have US postal codes. */
const MARKETS = 52;
const NOW = new Date('2026-11-24T12:00:00Z');

const seed = (options: Partial<SeedOptions> = {}) => seedDatabase({ connectionString: process.env.DATABASE_URL }, { patients: 1_000, ...options });

const clear = () => knex.raw(`truncate ${TABLES.map((table) => `"${table}"`).join(', ')}, zip_code`);

/** How many rows fit, out of a table. */
async function count(table: string, where = 'true'): Promise<number> {
  const { rows }: { rows: { rows: number }[] } = await knex.raw(`select count(*)::int as rows from "${table}" where ${where}`);
  return rows[0]!.rows;
}

const counts = async () => Object.fromEntries(await Promise.all(TABLES.map(async (table) => [table, await count(table)] as const)));

/** Everything that the seed has made, but for ids, in an order that does not come from them. */
async function content(): Promise<unknown> {
  const { rows }: { rows: { all: unknown }[] } = await knex.raw(`
    select (select jsonb_agg(to_jsonb(p) - 'id' - 'marketId' - 'createdBy' - 'updatedBy' - 'deletedBy' || jsonb_build_object('market', m.state) order by "externalId")
      from patient p left join market m on m.id = "marketId") as all
    union all select jsonb_agg(x order by x) from (select to_jsonb(w) - array['id', 'patientId', 'createdBy'] || jsonb_build_object('of', "externalId") as x
      from workflow w join patient p on p.id = "patientId") w
    union all select jsonb_agg(x order by x) from (select to_jsonb(t) - array['id', 'patientId', 'workflowId', 'assignedTo', 'createdBy', 'deletedBy']
      || jsonb_build_object('of', "externalId", 'by', u.email) as x from task t join patient p on p.id = "patientId" left join "user" u on u.id = "assignedTo") t
    union all select jsonb_agg(jsonb_build_array("firstName", "lastName", email, role) order by email) from "user"
    union all select jsonb_agg(jsonb_build_array("displayName", email, npi) order by npi) from clinician_mapping
  `);
  return rows;
}

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real command in a process of its own. */
const command = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  new Promise<Ended>((resolve) => {
    execFile(process.execPath, builtProgram('src/cli.ts', 'seed', ...args), { cwd: ROOT, env: { ...process.env, NO_COLOR: '1', ...env } }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }));
  });

describe('a seeded database', () => {
  beforeAll(async () => {
    await clear();
    expect(await seed({ patients: 2_000 })).toBe(true);
  });

  it('has as many patients as asked for, all of them marked, and no postal codes, which are the job\'s', async () => {
    expect(await count('patient')).toBe(2_000);
    expect(await count('patient', `source = 'synthetic' and "externalId" ~ '^SYN-[0-9]{7}$'`)).toBe(2_000);
    expect(await count('zip_code')).toBe(0);
    expect(await count('market')).toBe(MARKETS);
  });

  it('takes nobody for a real person: numbers behind the names, example.com, 555-01xx, NPIs that begin with 2', async () => {
    const [patients, users, mappings] = await Promise.all([knex<Patient>('patient'), knex<User>('user').whereNot({ role: 'attribution' }), knex<ClinicianMapping>('clinician_mapping')]);
    const people = [...patients, ...users];
    expect(people.map(({ firstName, lastName }) => `${firstName.trim()} ${lastName.trim()}`).filter((name) => !/^\D+\d+ \D+\d+$/.test(name))).toEqual([]);
    expect(people.map(({ email }) => email).filter((email) => email !== null && !/^[a-z\d.-]+@example\.com$/.test(email))).toEqual([]);
    expect(patients.map(({ phone }) => phone).filter((phone) => phone !== null && !/^(\d{3})?1?\d{3}55501\d\d$/.test(phone.replaceAll(/\D/g, '')))).toEqual([]);
    expect(mappings.length).toBeGreaterThan(10);
    expect(mappings.filter(({ npi }) => !isNpi(npi) || !npi.startsWith('2'))).toEqual([]);
  });

  it('has real ZIP codes, and markets that fit them', async () => {
    const stateOf = new Map((await readRealZipCodes()).map(({ code, state }) => [code, state]));
    expect(stateOf.size).toBe(41_488);
    const patients: { zipCode: string | null; state: string | null }[] = await knex('patient').leftJoin('market', 'market.id', 'marketId').select('zipCode', 'state');
    expect(patients.filter(({ zipCode, state }) => (zipCode !== null && !stateOf.has(zipCode)) || (state !== null && stateOf.get(zipCode ?? '') !== state))).toEqual([]);
  });

  it.each([
    ['patient', `"marketId" is not null`],
    ['patient', `"marketId" is null and "zipCode" is not null and "deletedAt" is null`],
    ['patient', `"zipCode" is null`],
    ['patient', `status = 'inactive'`],
    ['patient', `status = 'discharged' and "dischargedAt" > now() - interval '7 days' and "deletedAt" is null`],
    ['patient', `status = 'discharged' and exists (select from workflow w where w."patientId" = patient.id and w.type = 'discharge' and w.status = 'open')`],
    ['patient', `"deletedAt" is not null and "deletedBy" is not null`],
    ['patient', 'email is null'],
    ['workflow', `status = 'open' and "dueAt" > now()`],
    ['workflow', `status = 'open' and "dueAt" between now() - interval '31 days' and now()`],
    ['workflow', `status = 'open' and "dueAt" < now() - interval '90 days' and exists (select from task t where t."workflowId" = workflow.id and t.status = 'open')`],
    ['workflow', `status = 'completed'`],
    ['workflow', `status = 'cancelled'`],
    ['workflow', `priority = 'urgent' and type = 'care_gap'`],
    ['task', `status = 'open' and "dueAt" > now()`],
    ['task', `status = 'open' and "dueAt" < now()`],
    ['task', `status = 'open' and "expiresAt" < now() and "deletedAt" is null`],
    ['task', `status = 'done'`],
    ['task', `status = 'cancelled'`],
    ['task', `"deletedAt" is not null and "deleteReason" is not null`],
    ['task', `"assignedTo" is not null`],
    ['clinician_mapping', `"externalId" is not null and "syncedState" is not null`],
    ['clinician_mapping', `"externalId" is null and "syncedState" is null`],
    ['user', `role = 'operator'`],
  ])('has some %s where %s', async (table, where) => {
    expect(await count(table, where)).toBeGreaterThan(3);
  });

  it('has every fiftieth patient twice, entered later and written differently, and nobody twice by chance', async () => {
    const patients = await knex<Patient>('patient').orderBy('externalId');
    const people = new Map<string, Patient[]>();
    for (const patient of patients) {
      const person = `${nameForm(patient.firstName)} ${nameForm(patient.lastName)} ${patient.birthDate.getTime()}`;
      people.set(person, [...(people.get(person) ?? []), patient]);
    }
    const pairs = [...people.values()].filter(({ length }) => length > 1);
    expect(pairs).toHaveLength(40);
    for (const [first, second, ...others] of pairs) {
      expect(others).toEqual([]);
      expect(second!.createdAt.getTime()).toBeGreaterThan(first!.createdAt.getTime());
      expect(`${second!.firstName} ${second!.lastName}`).not.toBe(`${first!.firstName} ${first!.lastName}`);
    }
  });

  it('is left as it is by a second seeding', async () => {
    const before = await content();
    expect(await seed({ patients: 5 })).toBe(false);
    const stdout = 'seeded before: the database has 2000 synthetic patients. Nothing to do\n';
    expect(await command([])).toEqual({ code: 0, stdout, stderr: '' });
    expect(await command(['--patients', '2000'])).toEqual({ code: 0, stdout, stderr: '' });
    expect(await command(['--patients', '5'])).toEqual({
      code: 0, stdout, stderr: expect.stringMatching(/^Only an empty database is seeded\. For 5 patients, seed another one, .*:\n {2}DATABASE_URL=postgres:\/\/\.\.\. npm run -s seed -- --patients 5\n/),
    });
    expect(await content()).toEqual(before);
  });
});

describe('the seed', () => {
  beforeEach(clear);

  it('makes the same people every time, with the same work to do', async () => {
    await seed({ patients: 300, now: NOW });
    const first = await content();
    await clear();
    await seed({ patients: 300, now: NOW });
    expect(await content()).toEqual(first);
  });

  it('makes the same first people however many follow', async () => {
    const zipCodes = await readRealZipCodes();
    const take = async (many: number) => {
      const people = syntheticPatients({ faker: await openFaker(), zipCodes, marketIds: new Map(), createdBy: '', now: NOW });
      return Array.from({ length: many }, () => people.next().value).map((person) => ({ ...person, id: undefined }));
    };
    expect((await take(500)).slice(0, 120)).toEqual(await take(120));
  });

  it('is done once when two call it at once', async () => {
    expect((await Promise.all([seed(), seed()])).filter(Boolean)).toEqual([true]);
    expect(await count('patient')).toBe(1_000);
  });

  it('leaves nothing behind when it is stopped on its way', async () => {
    const stop = new AbortController();
    const told: number[] = [];
    const onProgress = (patients: number) => {
      told.push(patients);
      stop.abort(new Error('enough'));
    };
    await expect(seed({ patients: 12_000, signal: stop.signal, onProgress })).rejects.toThrow('enough');
    expect(told).toEqual([5_000]);
    expect(Object.values(await counts()).every((rows) => rows === 0)).toBe(true);
  });

  it('takes users and markets that are there as they are', async () => {
    await knex('market').insert({ name: 'Elsewhere', state: 'NY' });
    await userFactory.create({ email: 'clinician-1@example.com', firstName: 'Kept1' });
    expect(await seed({ patients: 200 })).toBe(true);
    expect(await count('market')).toBe(MARKETS);
    expect(await count('market', `name = 'Elsewhere' and state = 'NY'`)).toBe(1);
    expect(await count('user', `email = 'clinician-1@example.com' and "firstName" = 'Kept1'`)).toBe(1);
    expect(await count('clinician_mapping', `email = 'clinician-1@example.com'`)).toBe(1);
  });

  it('refuses, on the command line too, a database with patients who are not synthetic', async () => {
    await patientFactory.create({ source: 'manual', deletedAt: new Date() });
    const before = await counts();
    await expect(seed()).rejects.toThrow("The database has patients whose source is not 'synthetic'");
    expect(await command([])).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: The database has patients .*: nothing was changed\..*\n$/) });
    expect(await counts()).toEqual(before);
  });

  it('on the command line seeds, and says what to do next; never in production', async () => {
    expect(await command(['--patients', '20'], { DEPLOYMENT: 'production' })).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: DEPLOYMENT is production/) });
    expect(await count('patient')).toBe(0);
    const seeded = await command(['--patients', '20']);
    expect(seeded).toMatchObject({ code: 0, stderr: 'next: npm run -s job -- run cache-zip-codes\n' });
    expect(seeded.stdout).toMatch(/^seeded 20 synthetic patients in \d+\.\d s\n$/);
    expect(await count('patient')).toBe(20);
  });

  it.each(['0', '-1', 'many', '1e3', '10000000'])('refuses --patients=%s before it looks at the database', async (patients) => {
    const env = { DATABASE_URL: 'postgres://nobody@localhost:1/nothing' };
    expect(await command([`--patients=${patients}`], env)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: --patients takes a whole number from 1 to 9999999, not /) });
  });
});

it('where faker is not installed, the seed says what to do', async () => {
  jest.resetModules();
  jest.doMock('@faker-js/faker/locale/en', () => {
    throw new Error('Cannot find module');
  });
  const { openFaker: openMissing } = await import('@commons/backend/models/seed/open-faker.js');
  await expect(openMissing()).rejects.toThrow(/@faker-js\/faker.* is not installed.*Run: npm install/);
});
