import { faker } from '@faker-js/faker/locale/en';
import { Factory, type GeneratorFnOptions } from 'fishery';
import type { Knex } from 'knex';
import knex from '@commons/backend/lib/knex.js';

/** Every spec file has a faker of its own, and the same people whenever it runs. What must be unique takes the sequence too. */
faker.seed(20_261_124);
export { faker };

/** What can be put into a row's columns: also SQL, and text for a date. */
export type Insertable<Row> = { [Column in keyof Row]?: Row[Column] | Knex.Raw | (Date extends Row[Column] ? string : never) };

type Options<Row> = GeneratorFnOptions<Insertable<Row>, never, Row, Insertable<Row>>;

/**
 * A factory of a table's rows. `build(columns?)` gives what can be inserted, `buildList(n, columns?)` several;
 * `await create(columns?)` and `createList(n, columns?)` insert it and give the whole row back. What `columns` leave out is made up.
 * @param generate makes the columns
 * @param prepare what `create` does before: makes the rows that were not named and that this one refers to, and gives what
 * the columns become by that. A row that was only built refers to one that is not there.
 */
export const defineFactory = <Row>(
  table: string,
  generate: (options: Options<Row>) => Insertable<Row>,
  prepare: (given: Insertable<Row>, built: Insertable<Row>) => Promise<Insertable<Row>> = async () => ({}),
): Factory<Insertable<Row>, never, Row, Insertable<Row>> =>
  Factory.define<Insertable<Row>, never, Row, Insertable<Row>>((options) => {
    options.onCreate(async (built) => {
      const [row] = await knex(table).insert({ ...built, ...(await prepare(options.params, built)) }).returning('*');
      return row as Row;
    });
    return generate(options);
  });
