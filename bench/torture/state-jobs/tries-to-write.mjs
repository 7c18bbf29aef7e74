import knex from '@commons/backend/lib/knex.js';

/** Writes, whatever isDryRun says. */
export default async () => {
  await knex.raw('insert into torture_written values (1)');
};
