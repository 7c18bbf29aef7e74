import { uuidv7 } from 'uuidv7';
import { npiOf } from '@commons/backend/models/seed/npi.js';
import type { ClinicianMapping } from '@commons/backend/models/tables.js';
import { defineFactory } from './define-factory.js';
import { syntheticPerson } from './person.js';
import { userFactory } from './user-factory.js';

/** A clinician whom the directory does not know yet, with an NPI that nobody has; `create` makes the user where none is given. */
export const clinicianMappingFactory = defineFactory<ClinicianMapping>(
  'clinician_mapping',
  ({ sequence }) => {
    const { firstName, lastName, email } = syntheticPerson(sequence);
    return {
      id: uuidv7(),
      userId: uuidv7(),
      npi: npiOf(String(299_000_000 + sequence)),
      externalId: null,
      displayName: `${firstName} ${lastName}`,
      email,
      syncedState: null,
      syncedAt: null,
    };
  },
  async ({ userId }, { email }) => ({ userId: userId ?? (await userFactory.create({ email: email as string })).id }),
);
