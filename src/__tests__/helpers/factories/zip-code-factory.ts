import knex from '@commons/backend/lib/knex.js';

let built = 0;

/** A row of zip_code, each with a code of its own, but for what `overrides` say. */
export const buildZipCode = (overrides: Record<string, unknown> = {}) => ({
  code: String(10_000 + built++),
  city: 'New York',
  state: 'NY',
  stateName: 'New York',
  county: 'New York',
  latitude: 40.7,
  longitude: -74,
  ...overrides,
});

/** Puts one into the database. @returns the whole row */
export async function createZipCode(overrides: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  const [row] = await knex('zip_code').insert(buildZipCode(overrides)).returning('*');
  return row as Record<string, unknown>;
}
