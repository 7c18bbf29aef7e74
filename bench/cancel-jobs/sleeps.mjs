import knex from '@commons/backend/lib/knex.js';

/** One query that takes a minute. */
export default async () => void (await knex.raw('select pg_sleep(60)'));
