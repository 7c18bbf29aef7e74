import type { Faker } from '@faker-js/faker';

interface Name {
  readonly firstName: string;
  readonly lastName: string;
}

const FIRST_NAMES = 2_000;
const LAST_NAMES = 400;

/**
 * Names with a number behind each, as Synthea writes them (https://github.com/synthetichealth/synthea): nobody takes them for
 * those of real people, and no two people have both theirs and their birth date in common by chance.
 */
export function createNames(faker: Faker): { next(): Name } {
  // Drawn once, since picking from a list is ten times as fast.
  const firstNames = faker.helpers.uniqueArray(() => faker.person.firstName(), FIRST_NAMES);
  const lastNames = faker.helpers.uniqueArray(() => faker.person.lastName(), LAST_NAMES);
  const numbered = (names: readonly string[]): string => `${faker.helpers.arrayElement(names)}${faker.number.int({ min: 1, max: 999 })}`;
  return { next: () => ({ firstName: numbered(firstNames), lastName: numbered(lastNames) }) };
}
