import type { Faker } from '@faker-js/faker';
import { uuidv7 } from 'uuidv7';
import type { Patient } from '../tables.js';
import type { RealZipCode } from './real-zip-codes.js';
import { createNames } from './synthetic-names.js';

/** A patient as it is inserted: the birth date is a day. */
export type NewPatient = Omit<Patient, 'birthDate'> & { readonly birthDate: string };

export interface PatientsOf {
  readonly faker: Faker;
  readonly zipCodes: readonly RealZipCode[];
  /** By state. */
  readonly marketIds: ReadonlyMap<string, string>;
  readonly createdBy: string;
  /** What the moments are counted back from: jobs look for what happened lately. */
  readonly now: Date;
}

/** Every so many are a patient whom the one before is already. */
const DUPLICATE_EVERY = 50;

/**
 * People who do not exist, for ever: the same ones in the same order whenever it is called, but for ids, and for moments, which are
 * counted from now. All that the example jobs look for is among them: patients without a market, without a ZIP code or with one that is in
 * no state, discharged lately, deleted, and some who are there twice.
 */
export function* syntheticPatients(options: PatientsOf): Generator<NewPatient, never> {
  const make = patientMaker(options);
  for (let n = 1, last = make(n); ; n++) {
    yield last;
    last = (n + 1) % DUPLICATE_EVERY === 0 ? onceMore(last, n + 1, options.now) : make(n + 1);
  }
}

function patientMaker({ faker, zipCodes, marketIds, createdBy, now }: PatientsOf): (n: number) => NewPatient {
  const names = createNames(faker);
  const happens = (percent: number): boolean => faker.number.int(99) < percent;
  const daysAgo = (least: number, most: number): Date => new Date(now.getTime() - faker.number.int({ min: least * DAY, max: most * DAY }));

  return (n) => {
    const name = names.next();
    const { code, state } = faker.helpers.arrayElement(zipCodes);
    const zipCode = happens(3) ? null : code;
    const marketId = zipCode === null || state === undefined || happens(40) ? null : marketIds.get(state)!;
    const status = happens(12) ? 'discharged' : happens(6) ? 'inactive' : 'active';
    const createdAt = daysAgo(1_100, 2_000);
    const deletedAt = happens(2) ? daysAgo(1, 100) : null;
    return {
      id: uuidv7(),
      externalId: externalIdOf(n),
      ...name,
      birthDate: new Date(faker.number.int({ min: OLDEST, max: YOUNGEST }) * DAY).toISOString().slice(0, 10),
      email: happens(10) ? null : emailOf(name, n),
      phone: happens(10) ? null : `+1${faker.helpers.arrayElement(AREA_CODES)}55501${String(faker.number.int(99)).padStart(2, '0')}`,
      zipCode,
      marketId,
      status,
      dischargedAt: status === 'discharged' ? daysAgo(0, 60) : null,
      source: 'synthetic',
      createdAt,
      createdBy,
      updatedAt: deletedAt ?? createdAt,
      updatedBy: deletedAt && createdBy,
      deletedAt,
      deletedBy: deletedAt && createdBy,
    };
  };
}

/** The same person, entered again later by somebody who writes differently. */
function onceMore(patient: NewPatient, n: number, now: Date): NewPatient {
  const write = WRITINGS[(n / DUPLICATE_EVERY) % WRITINGS.length]!;
  const createdAt = new Date((patient.createdAt.getTime() + now.getTime()) / 2);
  return {
    ...patient,
    id: uuidv7(),
    externalId: externalIdOf(n),
    firstName: write(patient.firstName),
    lastName: write(patient.lastName),
    // Where both have one and they differ, somebody has to judge.
    email: (n / DUPLICATE_EVERY) % 5 === 0 ? emailOf(patient, n) : null,
    phone: patient.phone && patient.phone.replace(/^\+1(\d{3})(\d{3})(\d{4})$/, '($1) $2-$3'),
    createdAt,
    updatedAt: createdAt,
    updatedBy: null,
    deletedAt: null,
    deletedBy: null,
  };
}

const WRITINGS: readonly ((name: string) => string)[] = [
  (name) => `  ${name.toLowerCase()} `,
  (name) => name.toUpperCase(),
  (name) => `${name} `,
  (name) => name.toLowerCase(),
];

const externalIdOf = (n: number): string => `SYN-${String(n).padStart(7, '0')}`;

/** example.com is nobody's (RFC 2606). */
const emailOf = ({ firstName, lastName }: { firstName: string; lastName: string }, n: number): string =>
  `${firstName}.${lastName}.${n}@example.com`.toLowerCase().replaceAll(/[^a-z\d.@]/g, '');

/** With 555-0100 to 555-0199 behind them, numbers that nobody has (North American Numbering Plan, ATIS-0300115). */
const AREA_CODES = ['202', '212', '303', '404', '512', '617'];

/** ms */
const DAY = 86_400_000;

/** Days since 1970: from 1930 to 2005. */
const OLDEST = Date.UTC(1930, 0, 1) / DAY;
const YOUNGEST = Date.UTC(2005, 11, 31) / DAY;
