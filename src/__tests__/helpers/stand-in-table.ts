import knex from '@commons/backend/lib/knex.js';
import { defineFactory } from './factories/define-factory.js';

/** What create() gives: the columns by name. */
export interface StandInRow {
  readonly id: string;
  readonly [column: string]: unknown;
}

/**
 * A table of that name with `id` and the columns given, in this spec's own database, in place of whatever table has the name there;
 * and its factory. For the spec of a job whose table has no factory yet.
 * @param columns as `create table` takes them, constraints too
 */
export function standInTable(table: string, columns: readonly string[]) {
  beforeAll(async () => {
    await knex.raw('drop table if exists ?? cascade', [table]);
    await knex.raw(`create table ?? (id uuid not null unique default gen_random_uuid(), ${columns.join(', ')})`, [table]);
  });
  return defineFactory<StandInRow>(table, () => ({}));
}
