import { faker } from './define-factory.js';

/** Somebody who does not exist, and whom nobody takes for real: names with a number, an address of RFC 2606, a number of the fictitious 555-01xx. */
export function syntheticPerson(sequence: number) {
  const firstName = `${faker.person.firstName()}${sequence}`;
  const lastName = `${faker.person.lastName()}${sequence}`;
  return {
    firstName,
    lastName,
    email: `${firstName}.${lastName}@example.com`.toLowerCase().replaceAll(/[^a-z\d.@]/g, ''),
    phone: `+1212555${String(100 + (sequence % 100)).padStart(4, '0')}`,
  };
}
