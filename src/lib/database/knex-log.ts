import type { Knex } from 'knex';
import logger from '../logging.js';

const TAG = 'knex';

const text = (message: unknown): string => (message instanceof Error ? message.message : String(message));

/** It throws the same error, which says more. */
const THROWN_TOO = /^migration (file "[^"]*" )?failed/;

/** What knex has to say by itself, which it would print to the console. What it throws as well is at most worth debugging. */
export const knexLog: Knex.Logger = {
  warn: (message: unknown) => (THROWN_TOO.test(text(message)) ? logger.debug(text(message), TAG) : logger.warn(text(message), TAG)),
  error: (message: unknown) => logger.debug(text(message), TAG),
  deprecate: (method: string, alternative: string) => logger.warn(`${method} is deprecated: use ${alternative}`, TAG),
  debug: (message: unknown) => logger.debug(text(message), TAG),
};
