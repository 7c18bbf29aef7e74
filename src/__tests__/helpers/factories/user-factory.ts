import { uuidv7 } from 'uuidv7';
import type { User } from '@commons/backend/models/tables.js';
import { defineFactory } from './define-factory.js';
import { syntheticPerson } from './person.js';

/** A clinician. */
export const userFactory = defineFactory<User>('user', ({ sequence }) => {
  const { firstName, lastName, email } = syntheticPerson(sequence);
  return { id: uuidv7(), firstName, lastName, email, role: 'clinician' };
});
