import type pg from 'pg';
import { recorderPool } from '../../lib/database/service-pools.js';
import { makeRun } from './claim-statement.js';
import { findClaimed } from './doubtful-claim.js';
import type { NewRun } from './new-run.js';
import { anotherIsActive, type RunInTheWay } from './run-refusals.js';

/** The run was not to run beside another of its job: it is on record as skipped, and that is all there will be of it. */
export interface Skipped {
  readonly kind: 'skipped';
  readonly id: string;
  /** The run that was in its way; undefined when that has ended meanwhile. */
  readonly activeRunId: string | undefined;
  /** Why, with that run and since when it runs, and what to do. */
  readonly detail: string;
  /** What the row says, and its caller hears. */
  readonly httpStatus: number;
  readonly result?: { readonly skipped: true; readonly activeRunId: string | null };
  readonly error?: { readonly name: string; readonly message: string; readonly detail: string; readonly data: { readonly activeRunId: string | null } };
}

interface ActiveRow extends pg.QueryResultRow, RunInTheWay {}

/** The run that keeps others of its job from running, or undefined when there is none (any more). */
export async function findRunInTheWay(jobName: string): Promise<RunInTheWay | undefined> {
  const { rows } = await recorderPool.query<ActiveRow>({
    text: `select id, host, "startedAt" from batch_job_run where "overlapKey" = $1 and status = 'running'`,
    values: [jobName],
  });
  return rows[0];
}

/**
 * Records a run that is not to run. Whoever called gets 409, and the id of the run that is active; a scheduler gets 200, for
 * all is as its job's author wanted it, and nobody is to be paged.
 * @returns `elsewhere` when another replica has recorded the same delivery meanwhile
 */
export async function skipRun({ isAlone: _isAlone, sealedBody: _sealedBody, ...run }: NewRun): Promise<Skipped | { readonly kind: 'elsewhere'; readonly id: string }> {
  const active = await findRunInTheWay(run.jobName);
  const skipped = skippedAs(run, active?.id, anotherIsActive(active));
  const { httpStatus, result, error } = skipped;
  const { rowCount } = await recorderPool.query(makeRun({ ...run, httpStatus, result: result && JSON.stringify(result), error: error && JSON.stringify(error) }, 'skipped'));
  if (rowCount === 1) return skipped;
  const found = await findClaimed(run.id, run.delivery);
  if (!found) throw new Error('the run was deleted while it was looked up');
  // Its own row: the answer to an earlier try was lost. What that says goes, since another run may be in its way by now, or none.
  return found.id === run.id ? skippedAs(run, found.activeRunId ?? undefined, found.skipDetail ?? skipped.detail) : { kind: 'elsewhere', id: found.id };
}

/** Whether Postgres refused to start a run because another of its job is active. */
export const isOverlap = (error: unknown): boolean => (error as { constraint?: unknown } | null)?.constraint === 'batch_job_run_alone';

/** The same for every skipped run, so that they can be counted by it; the detail says which run was active. */
const MESSAGE = 'Another run of this job was active';

function skippedAs({ id, delivery }: Pick<NewRun, 'id' | 'delivery'>, activeRunId: string | undefined, detail: string): Skipped {
  const data = { activeRunId: activeRunId ?? null };
  const skipped = { kind: 'skipped', id, activeRunId, detail } as const;
  if (delivery) return { ...skipped, httpStatus: 200, result: { skipped: true, ...data } };
  return { ...skipped, httpStatus: 409, error: { name: 'RunSkipped', message: MESSAGE, detail, data } };
}
