import fc from 'fast-check';
import { RunDatabase } from '@commons/backend/lib/run-knex/run-database.js';
import { WriteCount } from '@commons/backend/lib/run-knex/write-count.js';

type Step = { do: 'write' | 'savepoint' | 'release' | 'rollback to'; name: string } | { do: 'begin' | 'commit' | 'rollback' | 'fail' };

const name = fc.constantFrom('s1', 's2', '"S3"');
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('write', 'write', 'write', 'savepoint', 'release', 'rollback to'), name }),
  fc.record({ do: fc.constantFrom('begin', 'commit', 'rollback', 'fail') }),
);

/** Postgres's own rules, said as plainly as can be: all rows are remembered, with the savepoints they were written after. */
function postgres() {
  let rows = 0;
  let open: { rows: number; savepoints: { name: string; rows: number }[] } | undefined;
  let isBroken = false;
  return {
    rows: () => rows,
    /** The server's tag for the step, or undefined where it answers with an error. */
    answer(each: Step): string | undefined {
      if (each.do === 'begin') return (open ??= { rows: 0, savepoints: [] }) && 'BEGIN';
      if (each.do === 'commit' || each.do === 'rollback') {
        if (open && each.do === 'commit' && !isBroken) rows += open.rows;
        const tag = each.do === 'commit' && !isBroken ? 'COMMIT' : 'ROLLBACK';
        [open, isBroken] = [undefined, false];
        return tag;
      }
      const at = open && 'name' in each ? open.savepoints.findLastIndex((savepoint) => savepoint.name === each.name) : -1;
      if (each.do === 'rollback to' && open && at >= 0) {
        open.rows = open.savepoints[at]!.rows;
        open.savepoints.splice(at + 1);
        isBroken = false;
        return 'ROLLBACK';
      }
      const isError = isBroken || each.do === 'fail' || each.do === 'rollback to' || (each.do !== 'write' && !open) || (each.do === 'release' && at < 0);
      if (isError) return void (isBroken = open !== undefined);
      if (each.do === 'write' && open) open.rows++;
      if (each.do === 'write' && !open) rows++;
      if (each.do === 'savepoint') open?.savepoints.push({ name: each.name, rows: open.rows });
      if (each.do === 'release') open?.savepoints.splice(at);
      return { write: 'UPDATE 1', savepoint: 'SAVEPOINT', release: 'RELEASE' }[each.do as 'write'];
    },
    isIdle: () => open === undefined,
  };
}

const textOf = (each: Step): string => ('name' in each && each.do !== 'write' ? `${each.do} ${each.name}` : each.do === 'write' ? 'update a set x = 1' : each.do);

describe('WriteCount', () => {
  it('counts what Postgres commits, whatever comes between BEGIN and COMMIT', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let counted = 0;
        const count = new WriteCount((writes) => writes.forEach(({ rows }) => (counted += rows ?? 0)));
        const server = postgres();
        for (const each of steps) {
          const tag = server.answer(each);
          if (tag === undefined) count.failed();
          else count.statementDone({}, textOf(each), tag);
          count.ready(server.isIdle());
          expect(counted).toBe(server.rows());
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('holds back what a transaction wrote until its COMMIT', () => {
    const commit = jest.fn();
    const count = new WriteCount(commit);
    for (const [sql, tag] of [['begin', 'BEGIN'], ['delete from a', 'DELETE 3']] as const) {
      count.statementDone({}, sql, tag);
      count.ready(false);
    }
    expect(commit).not.toHaveBeenCalled();
    count.statementDone({}, 'commit', 'COMMIT');
    expect(commit).toHaveBeenCalledWith([{ table: 'a', verb: 'delete', rows: 3 }]);
  });
});

describe('the totals of a run', () => {
  const run = { id: 'r', jobName: 'j', isDryRun: false, signal: new AbortController().signal };

  it('add up by table and verb, as plain JSON, whatever a table is called', () => {
    const database = new RunDatabase(run);
    database.addWrites([{ table: '__proto__', verb: 'insert', rows: 2 }, { table: '__proto__', verb: 'insert', rows: 3 }, { table: 'b', verb: 'update', rows: 0 }]);
    expect(JSON.stringify(database.writes)).toBe('{"__proto__":{"insert":5}}');
  });

  it("leave out the service's own tables", () => {
    const database = new RunDatabase(run, ['batch_job_run']);
    database.addWrites([{ table: 'batch_job_run', verb: 'update', rows: 1 }, { table: 'b', verb: 'update', rows: undefined }]);
    expect(database.writes).toEqual({ b: { update: 'unknown' } });
  });
});
