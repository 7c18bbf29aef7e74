import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import knex from '@commons/backend/lib/knex.js';
import * as faults from '@commons/backend/lib/errors/postgres-fault.js';

const SRC = path.dirname(require.resolve('@commons/backend/app.js'));

const failing = (statement: string): Promise<unknown> =>
  knex.transaction((trx) => trx.raw(statement)).then(
    () => undefined,
    (error: unknown) => error,
  );

/** The names of all predicates that are true of `error`. */
const trueOf = (error: unknown): string[] =>
  Object.entries(faults)
    .filter(([, holds]) => holds(error))
    .map(([name]) => name)
    .toSorted();

const withCode = (code: unknown): Error => Object.assign(new Error('no'), { code });

describe("the predicates on Postgres' errors", () => {
  it.each([
    ['a write in a read-only transaction', 'set transaction read only; create table never (id int)', ['isReadOnlyTransaction', 'mayPass', 'spoilsConnection']],
    ['a statement that takes too long', 'set local statement_timeout = 20; select pg_sleep(60)', ['isQueryCanceled']],
    ['a table that is not there', 'select * from nowhere', ['isMissingTable']],
    ['a table that the user may not read', 'create role nobody_reads; set local role nobody_reads; select * from batch_job', ['isAccessRefused', 'isNotPermitted']],
    ['a value of another type', "select 'x'::int", ['isRefusedData']],
    ['a function that is not there', 'select nowhere()', []],
  ])('tell %s from the rest', async (_what, statement, names) => {
    const error = await failing(statement);
    expect(error).toBeInstanceOf(Error);
    expect(trueOf(error)).toEqual(names);
  });

  it.each([
    ['40001', ['mayPass']],
    ['40P01', ['mayPass']],
    ['53300', ['mayPass']],
    ['55P03', ['isLocked', 'mayPass']],
    ['53100', ['mayPass', 'spoilsConnection']],
    ['53200', ['mayPass', 'spoilsConnection']],
    ['58030', ['mayPass', 'spoilsConnection']],
    ['08006', ['isUnreachable', 'mayPass', 'spoilsConnection']],
    ['57P01', ['isUnreachable', 'mayPass', 'spoilsConnection']],
    ['57P05', ['isUnreachable', 'mayPass', 'spoilsConnection']],
    ['ECONNREFUSED', ['isUnreachable', 'mayPass', 'spoilsConnection']],
    ['23505', ['isRefusedData']],
    ['54000', ['isRefusedData']],
    ['28000', ['isAccessRefused']],
    ['28P01', ['isAccessRefused']],
    ['3D000', ['isAccessRefused']],
    ['25001', []],
    [57014, []],
    [undefined, []],
  ])('take the code %p for what it is', (code, names) => expect(trueOf(withCode(code))).toEqual(names));

  it('are true of no value that is not an error', () => {
    for (const value of [null, undefined, '25006', { code: '25006' }]) expect(trueOf(value)).toEqual([]);
  });
});

it("spells each of Postgres' codes in one file of the service only", () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && !file.includes('__tests__'));
  const homes = new Map<string, string[]>();
  for (const file of files) {
    // A class and a subclass, as in 25006 and 40P01.
    const codes = new Set(readFileSync(path.join(SRC, file), 'utf8').match(/(?<=['"`])(?:0[0-9A-Z]|[1-5][0-9A-Z]|F0|HV|P0|XX)(?:\d{3}|P\d\d)(?=['"`])/g));
    for (const code of codes) homes.set(code, [...(homes.get(code) ?? []), file]);
  }
  expect(homes.get('25006')).toEqual([expect.stringContaining('postgres-fault.ts')]);
  // To mend: add a predicate to lib/errors/postgres-fault.ts, and call it.
  expect([...homes].filter(([, at]) => at.length > 1)).toEqual([]);
});
