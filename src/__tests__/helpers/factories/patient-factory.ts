import { uuidv7 } from 'uuidv7';
import type { Patient } from '@commons/backend/models/tables.js';
import { defineFactory, faker } from './define-factory.js';
import { syntheticPerson } from './person.js';

/** An active patient in New York, of no market, whom no other patient resembles. One that is `discharged` was so a day ago. */
export const patientFactory = defineFactory<Patient>('patient', ({ sequence, params }) => ({
  id: uuidv7(),
  externalId: `SYN-${sequence}`,
  ...syntheticPerson(sequence),
  birthDate: faker.date.birthdate({ mode: 'year', min: 1930, max: 2005 }).toISOString().slice(0, 10),
  zipCode: '10001',
  marketId: null,
  status: 'active',
  dischargedAt: params.status === 'discharged' ? new Date(Date.now() - 86_400_000) : null,
  source: 'synthetic',
}));
