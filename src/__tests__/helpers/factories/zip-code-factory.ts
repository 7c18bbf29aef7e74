import type { ZipCode } from '@commons/backend/models/tables.js';
import { defineFactory, type Insertable } from './define-factory.js';

/** A postal code in New York, each another one. */
export const zipCodeFactory = defineFactory<ZipCode>('zip_code', ({ sequence }) => ({
  code: String(9_999 + sequence).padStart(5, '0'),
  city: 'New York',
  state: 'NY',
  stateName: 'New York',
  county: 'New York',
  latitude: 40.7,
  longitude: -74,
}));

/** A row of zip_code, each with a code of its own, but for what `overrides` say. */
export const buildZipCode = (overrides: Insertable<ZipCode> = {}) => zipCodeFactory.build(overrides);

/** Puts one into the database. @returns the whole row */
export const createZipCode = (overrides: Insertable<ZipCode> = {}): Promise<ZipCode> => zipCodeFactory.create(overrides);
