import fc from 'fast-check';
import { stepsOf } from '@commons/backend/lib/run-knex/sql-writes.js';

const step = (verb: string, name: string, isTop = true) => ({ verb, name, isTop });

describe('stepsOf', () => {
  it.each([
    ['select * from a where b = 1', []],
    ['insert into a values (1)', [step('insert', 'a')]],
    ['INSERT INTO Public."A b" (x) select 1', [step('insert', 'public.A b')]],
    ['insert into a values (1) on conflict (id) do update set x = 1', [step('insert', 'a')]],
    ['update only a set x = 1', [step('update', 'a')]],
    ['update/* why */a set x = 1', [step('update', 'a')]],
    ['select 1 for update', []],
    ['select 1 from a for update of a', []],
    ['select 1 from a for no key update skip locked', []],
    ['create table a (b int references c on update cascade on delete cascade)', []],
    ['create trigger t before insert or update of x on a execute function f()', []],
    ['merge into a using b on a.id = b.id when matched then update set x = 1 when not matched then insert values (1)', [step('merge', 'a')]],
    ['with x as (delete from a returning *), y as (insert into b select 1) update c set x = 1', [step('delete', 'a', false), step('insert', 'b', false), step('update', 'c')]],
    ['copy a (x, y) from stdin', [step('copy', 'a')]],
    ['copy a to stdout', []],
    ['copy (insert into a values (1) returning *) to stdout', [step('insert', 'a', false)]],
    ['truncate table only a, b.c restart identity', [step('truncate', 'a'), step('truncate', 'b.c')]],
    ['savepoint s; release savepoint "S"; rollback to savepoint s; rollback to s; rollback', [step('savepoint', 's'), step('release', 'S'), step('rollback', 's'), step('rollback', 's'), step('rollback', '')]],
    [`select E'\\'; delete from a', 'it''s; delete from b', $x$ delete from c $x$, $$ delete from d $$, "delete from e", $1, $2`, []],
    [`select 'C:\\'; delete from a`, [step('delete', 'a')]],
    ['-- delete from a\ndelete from b', [step('delete', 'b')]],
    ['delete from schéma.tablé', [step('delete', 'schéma.tablé')]],
    ['/* /* delete from a */ delete from b */ delete from c', [step('delete', 'c')]],
    ['explain insert into a values (1); delete from b', [step('delete', 'b')]],
    ['explain (analyze off, costs off) delete from a', []],
    ['explain analyze verbose insert into a values (1); delete from b', [step('insert', 'a', false), step('delete', 'b')]],
    ['explain (costs off, analyze) with x as (delete from a returning *) update b set x = 1', [step('delete', 'a', false), step('update', 'b', false)]],
    ['prepare p as insert into a values (1); insert into b values (1)', [step('insert', 'b')]],
    ['create function f() returns void begin atomic insert into a values (case when true then 1 end); delete from b; end; delete from c', [step('delete', 'c')]],
    ['create rule r as on insert to a do also (insert into b values (1); delete from c); delete from d', [step('delete', 'd')]],
    ['create temp table if not exists a (update int) ; create table b as with x as (delete from c returning *) select * from x', [step('delete', 'c', false)]],
    ['grant select (x), update (y) on a to b; revoke insert, delete from c', []],
    ['select update from a; select rollback from b', []],
    ['update set set x = 1; delete from only (a) where b; truncate a *, only (b)', [step('update', 'set'), step('delete', 'a'), step('truncate', 'a'), step('truncate', 'b')]],
  ])('reads %s', (sql, steps) => {
    expect(stepsOf(sql)).toEqual(steps);
  });

  it('finds the table whatever it is called', () => {
    const name = fc.string({ minLength: 1, unit: 'binary' }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(name, name, (schema, table) => {
        const quoted = [schema, table].map((part) => `"${part.replaceAll('"', '""')}"`).join('.');
        expect(stepsOf(`update ${quoted} set x = 1`)).toEqual([step('update', `${schema}.${table}`)]);
      }),
    );
  });

  it('finds nothing in a literal, whatever it holds', () => {
    const text = fc.array(fc.constantFrom('delete from a ', "'", '"', '\\', '--', '/*', '*/', '(', ')', ';', '$$', '$x$', ' ', '\n', 'x'), { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (value) => {
        expect(stepsOf(`select '${value.replaceAll("'", "''")}'; update b set x = 1`)).toEqual([step('update', 'b')]);
      }),
    );
  });

  it('takes no longer than the text is long, and never throws', () => {
    const before = performance.now();
    for (const part of ['(', "'", '"', '/*', '--', '$a', 'insert into ', 'update a,', 'a.', 'truncate a, ', '  ']) stepsOf(part.repeat(20_000));
    expect(performance.now() - before).toBeLessThan(10_000);
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (sql) => void stepsOf(sql)));
  });

  it('gives the same answer once it has forgotten the text', () => {
    const first = stepsOf('insert into a values (1)');
    for (let i = 0; i < 50; i++) stepsOf(`select '${i}${'x'.repeat(100_000)}'`);
    expect(stepsOf('insert into a values (1)')).toEqual(first);
  });
});
