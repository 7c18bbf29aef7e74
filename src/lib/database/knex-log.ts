import type { Knex } from 'knex';
import logger from '../logging.js';

const TAG = 'knex';

const text = (message: unknown): string => (message instanceof Error ? message.message : String(message));

/** What knex has to say by itself, which it would print to the console. What it throws as well is at most worth debugging. */
export const knexLog: Knex.Logger = {
  warn: (message: unknown) => logger.warn(text(message), TAG),
  error: (message: unknown) => logger.debug(text(message), TAG),
  deprecate: (method: string, alternative: string) => logger.warn(`${method} is deprecated: use ${alternative}`, TAG),
  debug: (message: unknown) => logger.debug(text(message), TAG),
};
