import type { Faker } from '@faker-js/faker';
import type pg from 'pg';
import { uuidv7 } from 'uuidv7';
import { npiOf } from './npi.js';
import type { ClinicianMapping, Market, User } from '../tables.js';
import { insertRows } from './insert-rows.js';
import type { RealZipCode } from './real-zip-codes.js';
import { createNames } from './synthetic-names.js';

export interface Organisation {
  /** The id of the user that all of this is attributed to. */
  readonly createdBy: string;
  /** The ids of the clinicians. */
  readonly userIds: readonly string[];
  /** By state. */
  readonly marketIds: ReadonlyMap<string, string>;
}

const CLINICIANS = 20;
const OPERATORS = 5;
/** So many of the clinicians are known to the directory, and a few more are to be sent to it. */
const SYNCED = 10;
const MAPPED = 15;

/** Inserts who and what patients refer to: a market for every state that has a ZIP code, users, and clinicians' mappings. What is there already stays. */
export async function insertOrganisation(client: pg.Client, faker: Faker, zipCodes: readonly RealZipCode[], now: Date): Promise<Organisation> {
  const states = new Map(zipCodes.flatMap(({ state, stateName }) => (state === undefined ? [] : [[state, stateName]])));
  await insertRows(client, 'market', [...states].map(([state, name]): Partial<Market> => ({ id: uuidv7(), state, name, createdAt: now, updatedAt: now })));
  const { rows: markets } = await client.query<Market>('select id, state from market');

  const clinicians = people(faker, now, 'clinician', CLINICIANS);
  const seed: User = { id: uuidv7(), email: 'seed@jobs.invalid', firstName: 'Job', lastName: 'seed', role: 'attribution', createdAt: now, updatedAt: now };
  const users = [seed, ...clinicians, ...people(faker, now, 'operator', OPERATORS)];
  await insertRows(client, 'user', users);
  const { rows: found } = await client.query<User>('select id, email from "user" where email = any($1)', [users.map(({ email }) => email)]);
  const idOf = new Map(found.map(({ id, email }) => [email, id]));

  const createdBy = idOf.get(seed.email)!;
  const userIds = clinicians.map(({ email }) => idOf.get(email)!);
  await insertRows(client, 'clinician_mapping', clinicians.slice(0, MAPPED).map((user, n) => mappingOf({ ...user, id: userIds[n]! }, n + 1, createdBy, now)));
  return { createdBy, userIds, marketIds: new Map(markets.map(({ state, id }) => [state, id])) };
}

function people(faker: Faker, now: Date, role: 'clinician' | 'operator', count: number): User[] {
  const names = createNames(faker);
  return Array.from({ length: count }, (_, n) => ({ id: uuidv7(), email: `${role}-${n + 1}@example.com`, ...names.next(), role, createdAt: now, updatedAt: now }));
}

function mappingOf({ id, firstName, lastName, email }: User, n: number, createdBy: string, now: Date): ClinicianMapping {
  const said = { displayName: `${firstName} ${lastName}`, email };
  const isSynced = n <= SYNCED;
  return {
    id: uuidv7(),
    userId: id,
    npi: npiOf(String(200_000_000 + n)),
    externalId: isSynced ? `SYN-${n}` : null,
    ...said,
    syncedState: isSynced ? said : null,
    syncedAt: isSynced ? now : null,
    createdAt: now,
    createdBy,
    updatedAt: now,
    updatedBy: createdBy,
  };
}
