import type { Faker } from '@faker-js/faker';

/** Any number will do: it fixes who the synthetic people are. */
const SEED = 20_261_124;

/** A faker at the beginning of the one row of numbers that all synthetic people come from. @throws {Error} where it is not installed */
export async function openFaker(): Promise<Faker> {
  const { faker } = await import('@faker-js/faker/locale/en').catch((cause: unknown) => {
    throw new Error('@faker-js/faker, which makes the synthetic people, is not installed (the image leaves it out). Run: npm install', { cause });
  });
  faker.seed(SEED);
  return faker;
}
