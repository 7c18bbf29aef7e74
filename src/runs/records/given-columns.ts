import { type Column, type RowSource, rowSource } from '../../lib/database/row-source.js';
import { cleanAuditText } from './audit-event.js';
import type { NewRun } from './new-run.js';

/** What a statement that makes or takes a run is given: the run, and where it makes one that has ended, how that ended. */
export interface GivenRun extends NewRun {
  readonly httpStatus?: number;
  /** JSON texts. */
  readonly result?: string | undefined;
  readonly error?: string | undefined;
}

interface GivenColumn extends Column<GivenRun> {
  /** A column of batch_job_run; the others are for the audit trail. */
  readonly isOfRun: boolean;
  /** In SQL, where the given value may be null and the table's may not. */
  readonly orElse?: string;
}

const ofRun = (name: string, type: string, of: Column<GivenRun>['of'], orElse?: string): GivenColumn => ({ name, type, of, isOfRun: true, ...(orElse !== undefined && { orElse }) });
const ofAudit = (name: string, type: string, of: Column<GivenRun>['of']): GivenColumn => ({ name, type, of, isOfRun: false });

/** THE row of a run that starts, column by column, each by the table's own name. What is undefined is null. */
const COLUMNS: readonly GivenColumn[] = [
  ofRun('id', 'uuid', ({ id }) => id),
  ofRun('"jobName"', 'text', ({ jobName }) => jobName),
  ofRun('trigger', 'text', ({ trigger }) => trigger),
  ofRun('"isDryRun"', 'boolean', ({ isDryRun }) => isDryRun),
  ofRun('body', 'jsonb', ({ body }) => body),
  ofRun('"isBodyRedacted"', 'boolean', ({ isBodyRedacted }) => isBodyRedacted || undefined, 'false'),
  ofRun('"sealedBody"', 'bytea', ({ sealedBody }) => sealedBody),
  ofRun('"requestedBy"', 'text', ({ requestedBy }) => requestedBy),
  ofRun('"parentRunId"', 'uuid', ({ parentRunId }) => parentRunId),
  ofRun('"onlyKeys"', 'jsonb', ({ onlyKeys }) => onlyKeys),
  ofRun('"deliveryKey"', 'text', ({ delivery }) => delivery?.key),
  ofRun('"scheduledFor"', 'timestamptz', ({ delivery }) => delivery?.scheduledFor),
  ofRun('"schedulerJobName"', 'text', ({ delivery }) => delivery?.schedulerJobName),
  ofRun('"overlapKey"', 'text', ({ isAlone, jobName }) => (isAlone ? jobName : undefined)),
  ofRun('"httpStatus"', 'int', ({ httpStatus }) => httpStatus),
  ofRun('result', 'jsonb', ({ result }) => result),
  ofRun('error', 'jsonb', ({ error }) => error),
  ofAudit('act', 'text', ({ audit }) => audit?.action),
  ofAudit('caller', 'text', ({ audit }) => cleanAuditText(audit?.name)),
  ofAudit('verified', 'boolean', ({ audit }) => audit?.isVerified),
  ofAudit('source', 'text', ({ audit }) => cleanAuditText(audit?.source)),
];

/** Some of the columns, as one statement is given them. */
export interface GivenColumns {
  /** Tells this choice of columns from others; for the statement's name. */
  readonly key: string;
  readonly source: RowSource<GivenRun>;
  /** Those of batch_job_run: each one's name, and its value in SQL. */
  readonly ofRun: readonly { readonly name: string; readonly value: string }[];
  readonly hasAudit: boolean;
}

const cache = new Map<string, GivenColumns>();

/**
 * The columns that any of the runs has a value for: the others are left out, since most runs have few of them.
 * @param first the number of the first parameter that is free
 */
export function columnsFor(runs: readonly GivenRun[], first: number): GivenColumns {
  const hasAudit = runs.some(({ audit }) => audit !== undefined);
  return chosen(COLUMNS.filter(({ of, isOfRun }) => (isOfRun ? runs.some((run) => of(run) !== undefined) : hasAudit)), first);
}

/** The columns with these names and, always, those of the audit trail. */
export const columnsNamed = (names: ReadonlySet<string>, first: number): GivenColumns =>
  chosen(COLUMNS.filter(({ name, isOfRun }) => !isOfRun || names.has(name)), first);

export const ALL_COLUMNS: ReadonlySet<string> = new Set(COLUMNS.map(({ name }) => name));

function chosen(columns: readonly GivenColumn[], first: number): GivenColumns {
  const key = `${first}-${COLUMNS.reduce((mask, column, at) => mask + (columns.includes(column) ? 2 ** at : 0), 0).toString(36)}`;
  let found = cache.get(key);
  if (!found) {
    const own = columns.filter(({ isOfRun }) => isOfRun);
    found = {
      key,
      source: rowSource('given', columns, first),
      ofRun: own.map(({ name, orElse }) => ({ name, value: orElse === undefined ? `given.${name}` : `coalesce(given.${name}, ${orElse})` })),
      hasAudit: columns.some(({ name }) => name === 'act'),
    };
    cache.set(key, found);
  }
  return found;
}
