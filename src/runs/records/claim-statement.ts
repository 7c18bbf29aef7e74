import os from 'node:os';
import type { Statement } from '../../lib/database/service-pools.js';
import { envConfig } from '../../lib/env-config.js';
import { ALL_COLUMNS, columnsFor, columnsNamed, type GivenColumns, type GivenRun } from './given-columns.js';
import type { NewRun } from './new-run.js';
import { type RunStatus, sqlMayBecome, sqlNew } from './run-status.js';

// The one builder of the statements that make a run, or take one that has ended. Each has `given`, the rows as its parameters
// (given-columns.ts), and writes the audit trail's entry with the run's row: no act, no entry.

/** Where a run is: kept with it, so that a lost one can be looked for in the right place. */
const place = (): readonly [host: string, version: string | null] => (ownPlace ??= [os.hostname().slice(0, 255), envConfig().version ?? null]);

let ownPlace: readonly [string, string | null] | undefined;

const LEASE = "now() + $1 * interval '1 ms'";

const RUNNING = {
  parameters: () => [envConfig().runLease, ...place()],
  first: 4,
  columns: 'status, "startedAt", "leaseUntil", host, version',
  values: `${sqlNew('running')}, now(), ${LEASE}, $2, $3`,
};

/** What a row that is made has beside what is given: running with a lease, the same with the mark of its claim, or skipped, and over. */
const MADE = {
  running: RUNNING,
  claimed: { ...RUNNING, columns: `${RUNNING.columns}, claim`, values: `${RUNNING.values}, given.id` },
  skipped: { parameters: () => [], first: 1, columns: 'status, "finishedAt"', values: `${sqlNew('skipped')}, now()` },
} as const;

const insertRun = ({ ofRun }: GivenColumns, as: keyof typeof MADE): string => `
  insert into batch_job_run (${MADE[as].columns}, ${ofRun.map(({ name }) => name).join(', ')})
  select ${MADE[as].values}, ${ofRun.map(({ value }) => value).join(', ')} from given`;

/** @param from whose id and "jobName" are the run's; `given` for rows that are made whatever happens */
const insertEvent = ({ hasAudit }: GivenColumns, from: 'given' | 'run'): string =>
  hasAudit
    ? `, event as (
      insert into audit_event (id, action, outcome, caller, "isVerified", source, "jobName", "runId")
      select given.id, act, 'allowed', caller, verified, source, ${from}."jobName", ${from}.id
      from given${from === 'run' ? ', run' : ''} where act is not null
      on conflict (id) do nothing
    )`
    : '';

const gathered = (rows: string, columns: GivenColumns): string =>
  `with given as (select * from ${rows})${insertEvent(columns, 'given')}${insertRun(columns, 'running')} on conflict (id) do nothing`;

/** Makes the rows of runs that nothing can keep from running. Harmless when repeated. */
export function makeRuns(runs: readonly NewRun[]): Statement {
  const columns = columnsFor(runs, MADE.running.first);
  return { name: `make-runs-${columns.key}`, text: gathered(columns.source.arrays.text, columns), values: [...MADE.running.parameters(), ...columns.source.arrays.values(runs)] };
}

/** The same for a few runs that are large: one parameter a value, since node-postgres quotes every byte of an array. */
export function makeLargeRuns(runs: readonly NewRun[]): Statement {
  const columns = columnsNamed(ALL_COLUMNS, MADE.running.first);
  const { scalars } = columns.source;
  return { name: `make-${runs.length}-large-runs`, text: gathered(scalars.text(runs.length), columns), values: [...MADE.running.parameters(), ...scalars.values(runs)] };
}

/**
 * Makes the row of one run, unless its delivery has a row already, or it is to be alone and another is active.
 * @returns a statement whose only row is the run's id and attempt; no row where none was made
 */
export function makeRun(run: GivenRun, as: 'claimed' | 'skipped'): Statement {
  const { parameters, first } = MADE[as];
  const columns = columnsFor([run], first);
  return {
    name: `make-${as}-run-${columns.key}`,
    text: `with given as (select * from ${columns.source.scalars.text(1)}),
      run as (${insertRun(columns, as)} on conflict do nothing returning id, attempt, "jobName")${insertEvent(columns, 'run')}
      select id, attempt from run`,
    values: [...parameters(), ...columns.source.scalars.values([run])],
  };
}

/**
 * What of a run's row is the next attempt's own: its caller, whether it is dry or alone, and for a delivery what came with it. The rest
 * stays as it was.
 */
const RENEWED = {
  restart: new Set(['id', '"isDryRun"', '"requestedBy"', '"overlapKey"']),
  delivery: new Set(['id', '"isDryRun"', '"requestedBy"', '"overlapKey"', 'body', '"isBodyRedacted"', '"sealedBody"', '"parentRunId"', '"onlyKeys"']),
} as const;

export interface Taking {
  /** The run that is taken. */
  readonly id: string;
  /** Its attempt when it was looked at: what was found then, its body say, is no longer true of a later one. */
  readonly attempt: number;
  readonly by: keyof typeof RENEWED;
  /** Statuses that it may be in. */
  readonly from: readonly RunStatus[];
  /** It goes on from its cursor, and its failed items stay on record; otherwise it begins anew. */
  readonly keepsPlace: boolean;
}

/**
 * Whether a failed item is behind the cursor that its run had (`old`), so that an attempt that goes on from there does not do it again.
 * Without a cursor none is. One from before that was recorded has no number: of it all are, as they were then.
 */
const IS_BEHIND = `(old."runId" is not null and (old."failureSeq" is null or failure.attempt < old.attempt or failure.seq < old."failureSeq"))`;

/** How many these are. Before the number was recorded, the run's row knew of those that were not kept, and the table of those before a kill. */
const FAILED_BEHIND = `greatest(
            case when old."runId" is not null and old."failureSeq" is null then run."failedItems" end,
            (select count(*) from batch_job_run_failure failure where failure."runId" = run.id and ${IS_BEHIND}) + coalesce(old."failuresUnkept", 0))`;

/**
 * Makes a run that has ended badly the caller's, as its next attempt. The cursor becomes that attempt's, so that a former one which
 * still works can commit no batch any more. Of several that ask at the same moment one gets the run.
 * @returns a statement whose only row is the attempt that was taken, with its cursor; no row where the run is not to be had
 */
export function takeRun(given: GivenRun, { id, attempt, by, from, keepsPlace }: Taking): Statement {
  const columns = columnsNamed(RENEWED[by], 8);
  const renewed = columns.ofRun.filter(({ name }) => name !== 'id').map(({ name, value }) => `${name} = ${value}`);
  return {
    name: `take-run-by-${by}`,
    text: `with given as (select * from ${columns.source.scalars.text(1)}),
      run as (
        update batch_job_run run
        set status = 'running', attempt = run.attempt + 1, ${renewed.join(', ')}, claim = given.id, "startedAt" = now(), "leaseUntil" = ${LEASE},
          host = $2, version = $3, "finishedAt" = null, "httpStatus" = null, result = null, error = null, progress = null, writes = null,
          "cancelRequestedAt" = null, "cancelRequestedBy" = null, "asksForKeys" = null,
          "failedItems" = case when $6::boolean then ${FAILED_BEHIND} else 0 end
        from given left join batch_job_run_cursor old on old."runId" = $4
        where run.id = $4 and run.attempt = $7 and run.status = any($5) and ${sqlMayBecome('run.status', 'running')}
        returning run.id, run.attempt, run."jobName", run."onlyKeys", run."failedItems"
      ), saved as (
        insert into batch_job_run_cursor as saved ("runId", attempt, "failureSeq") select id, attempt, 0 from run
        on conflict ("runId") do update set attempt = excluded.attempt, cursor = case when $6::boolean then saved.cursor end, "failureSeq" = 0,
          "failuresUnkept" = case when $6::boolean then saved."failuresUnkept" else 0 end,
          "failuresUnkeptBefore" = case when $6::boolean then saved."failuresUnkept" else 0 end
        returning cursor
      ), forgotten as (
        delete from batch_job_run_failure failure using run left join batch_job_run_cursor old on old."runId" = run.id
        where failure."runId" = run.id and not ($6::boolean and ${IS_BEHIND})
      )${insertEvent(columns, 'run')}
      select run.id, run.attempt, saved.cursor, run."onlyKeys", run."failedItems" from run, saved`,
    values: [envConfig().runLease, ...place(), id, from, keepsPlace, attempt, ...columns.source.scalars.values([given])],
  };
}
