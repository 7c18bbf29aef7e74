import { uuidv7 } from 'uuidv7';
import type { Market } from '@commons/backend/models/tables.js';
import { defineFactory } from './define-factory.js';

/** No state's code begins with one of these. */
const LETTERS = 'QXYZJEB';

const letter = (letters: string, place: number): string => letters.charAt(place % letters.length);

/** A market of a state that the US does not have, one of 182. */
export const marketFactory = defineFactory<Market>('market', ({ sequence }) => ({
  id: uuidv7(),
  name: `Market ${sequence}`,
  state: letter(LETTERS, Math.floor(sequence / 26)) + letter('ABCDEFGHIJKLMNOPQRSTUVWXYZ', sequence),
}));
