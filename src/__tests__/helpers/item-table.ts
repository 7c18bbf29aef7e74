import knex from '@commons/backend/lib/knex.js';

/** Has the spec's database hold the table `item` that the fixture job `writes` marks: before each test a hundred rows, none of them marked. */
export function useItemTable(): void {
  beforeAll(() =>
    knex.schema.createTable('item', (table) => {
      table.integer('id').primary();
      table.boolean('isDone').notNullable().defaultTo(false);
      table.integer('times').notNullable().defaultTo(0);
    }),
  );
  beforeEach(async () => {
    await knex('item').delete();
    await knex.raw('insert into item (id) select generate_series(1, 100)');
  });
}

/** The ids of the rows that are marked. */
export const doneIds = (): Promise<number[]> => knex('item').where('isDone', true).orderBy('id').pluck('id');
