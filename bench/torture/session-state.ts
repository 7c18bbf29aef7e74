import { inProject } from '../harness/paths.js';
import { type Ground, type Target } from './ground.js';
import { Faults, none, type Verdict } from './verdict.js';

/** Ways in which a job can leave something behind on its connection, each as a list of statements. */
const WAYS: readonly (readonly string[])[] = [
  [`select set_config('default_transaction_read_only', 'off', false)`],
  [`select SET_CONFIG('default_transaction_read_only', 'off', false)`],
  ['set/**/default_transaction_read_only/**/=/**/off'],
  ['set session characteristics as transaction read write'],
  [`do $$ begin perform set_config('default_transaction_read_only', 'off', false); end $$`],
  [`with x as (select set_config('default_transaction_read_only', 'off', false)) select * from x`],
  ['prepare left_behind as select 1', `select set_config('default_transaction_read_only', 'off', false)`],
  ['create temp table patient_copy as select 1 as id'],
  ['select pg_advisory_lock(42)'],
  ['select pg_advisory_lock_shared(43)'],
  [`set search_path to torture_elsewhere`],
  ['listen torture'],
  ['begin', 'declare left_behind cursor with hold for select 1', 'commit'],
  [`select set_config('torture.secret', 'Ada Lovelace', false)`],
  ['reset all'],
  ['discard all'],
  [`set transaction_read_only = off; insert into torture_written values (2)`],
  [`set default_transaction_read_only = off; insert into torture_written values (3)`],
  [`begin read write; insert into torture_written values (4); commit`],
  [`begin; set transaction read write; insert into torture_written values (5); commit`],
  ['begin read write', 'insert into torture_written values (6)', 'commit'],
  ['set default_transaction_read_only = off', 'insert into torture_written values (7)'],
  [`do $$ begin perform set_config('transaction_read_only', 'off', true); insert into torture_written values (8); end $$`],
];

/** As a connection is when nobody has used it. */
const CLEAN = { searchPath: '"$user", public', locks: 0, prepared: 0, cursors: 0, channels: 0, temporaryTables: 0 };

/**
 * Has jobs leave behind on their only connection whatever a session can hold, in dry runs and in real ones, and looks at what
 * the next run finds, and at whether the next dry run, or that one itself, could write.
 */
export async function sessionState(ground: Ground): Promise<Verdict> {
  await ground.database.query('create table if not exists torture_written (way int)');
  const target = await ground.serve({ jobs: inProject('bench/torture/state-jobs'), env: { DATABASE_POOL_MAX: '1' } });
  const wrote = new Faults();
  const leaked = new Faults();
  try {
    for (const statements of WAYS) {
      for (const isDryRun of [true, false]) {
        await ground.database.query('truncate torture_written');
        await run(target, 'leaves-state', { statements, isDryRun });
        if (isDryRun && (await written(ground)) > 0) wrote.add(`a dry run wrote by itself: ${statements.join('; ')}`);
        await ground.database.query('truncate torture_written');
        const found = (await run(target, 'tells-state', { isDryRun })) as Record<string, unknown> | undefined;
        for (const [field, value] of Object.entries({ ...CLEAN, readOnly: isDryRun ? 'on' : 'off' })) {
          if (found?.[field] !== value) leaked.add(`${field} is ${JSON.stringify(found?.[field])} after ${statements.join('; ')}`);
        }
        if (found?.secret) leaked.add(`a setting with a name reached the next run after ${statements.join('; ')}`);
        await run(target, 'tries-to-write', { isDryRun: true });
        if ((await written(ground)) > 0) wrote.add(`the next dry run wrote after ${statements.join('; ')}`);
      }
    }
    return {
      figures: [none(`${WAYS.length} ways to leave a session's state behind: dry runs that wrote`, wrote.count), none('... what reached the next run', leaked.count)],
      examples: [...wrote.examples, ...leaked.examples],
    };
  } finally {
    await target.stop();
  }
}

const written = async ({ database }: Ground): Promise<number> => (await database.query<{ n: number }>('select count(*)::int as n from torture_written'))[0]!.n;

async function run({ url }: Target, job: string, body: object): Promise<unknown> {
  const answer = await fetch(`${url}/jobs/${job}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  return answer.ok && answer.status !== 204 ? answer.json() : void (await answer.arrayBuffer());
}
