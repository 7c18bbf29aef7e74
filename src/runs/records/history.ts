import type pg from 'pg';
import { readPool, recorderPool } from '../../lib/database/service-pools.js';
import type { RunTrigger } from './new-run.js';
import type { RunStatus } from './run-status.js';

/** A run, as lists show it. */
export interface RunSummary extends pg.QueryResultRow {
  readonly id: string;
  readonly jobName: string;
  readonly status: RunStatus;
  readonly trigger: RunTrigger;
  readonly requestedBy: string | null;
  readonly isDryRun: boolean;
  readonly attempt: number;
  readonly httpStatus: number | null;
  readonly errorName: string | null;
  readonly errorMessage: string | null;
  /** How many items failed, in all attempts since it last began anew; null for a run from before this was counted. */
  readonly failedItems: number | null;
  readonly parentRunId: string | null;
  readonly scheduledFor: Date | null;
  readonly schedulerJobName: string | null;
  readonly queuedAt: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** From start to end by the database's clock; null while it runs. */
  readonly durationMs: number | null;
}

/** A run with everything its row holds. */
export interface RunDetail extends RunSummary {
  readonly body: unknown;
  /** Something of it was taken out before it was stored. */
  readonly isBodyRedacted: boolean;
  readonly result: unknown;
  readonly error: Readonly<Record<string, unknown>> | null;
  readonly progress: unknown;
  readonly cursor: unknown;
  readonly writes: unknown;
  readonly leaseUntil: Date | null;
  readonly cancelRequestedAt: Date | null;
  readonly cancelRequestedBy: string | null;
  readonly host: string | null;
  readonly version: string | null;
}

export interface RunFilter {
  readonly jobName?: string | undefined;
  readonly statuses?: readonly RunStatus[] | undefined;
  /** Only runs that were made at this time or later. */
  readonly since?: Date | undefined;
  /** Only runs whose job's name or error message holds this, whatever the case. */
  readonly text?: string | undefined;
  /** Only runs older than the one with this id: where the last page ended. */
  readonly before?: string | undefined;
  readonly limit: number;
}

const SUMMARY = `
  id, "jobName", status, trigger, "requestedBy", "isDryRun", attempt, "httpStatus", error ->> 'name' as "errorName",
  error ->> 'message' as "errorMessage", "failedItems", "parentRunId", "scheduledFor", "schedulerJobName", "queuedAt", "startedAt", "finishedAt",
  round(extract(epoch from "finishedAt" - "startedAt") * 1000)::float8 as "durationMs"`;

/** The run with this id, or undefined. Found by its key, so it need not wait behind what searches the history. */
export async function findRun(id: string): Promise<RunDetail | undefined> {
  const { rows } = await recorderPool.query<RunDetail>({
    text: `select ${SUMMARY}, body, "isBodyRedacted", result, error, progress, writes, "leaseUntil",
             "cancelRequestedAt", "cancelRequestedBy", host, version,
             (select cursor from batch_job_run_cursor where "runId" = batch_job_run.id) as cursor
           from batch_job_run where id = $1`,
    values: [id],
  });
  return rows[0];
}

interface StatusRow extends pg.QueryResultRow {
  readonly id: string;
  readonly status: RunStatus;
}

/** The statuses of the runs that have a row, by id. */
export async function statusesOf(ids: ReadonlySet<string>): Promise<Map<string, RunStatus>> {
  const { rows } = await recorderPool.query<StatusRow>({ text: 'select id, status from batch_job_run where id = any($1::uuid[])', values: [[...ids]] });
  return new Map(rows.map(({ id, status }) => [id, status]));
}

/** Runs that fit the filter, newest first. Pages by key: the last page of millions costs what the first does. */
export async function listRuns(filter: RunFilter): Promise<RunSummary[]> {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const where = (condition: (parameter: string) => string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(condition(`$${values.length}`));
  };
  where((jobName) => `"jobName" = ${jobName}`, filter.jobName);
  where((statuses) => `status = any(${statuses}::text[])`, filter.statuses);
  where((id) => `id >= ${id}`, filter.since && firstIdAt(filter.since));
  where((id) => `id < ${id}`, filter.before);
  where((pattern) => `("jobName" ilike ${pattern} or error ->> 'message' ilike ${pattern})`, filter.text && likePattern(filter.text));
  values.push(filter.limit);
  const { rows } = await readPool.query<RunSummary>({
    text: `select ${SUMMARY} from batch_job_run ${conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''}
           order by id desc limit $${values.length}`,
    values,
  });
  return rows;
}

/** The newest run of each job that has one, by the job's name. */
export async function newestRuns(jobNames: readonly string[]): Promise<Map<string, RunSummary>> {
  const { rows } = await readPool.query<RunSummary>({
    text: `select newest.* from unnest($1::text[]) as job (name)
           cross join lateral (select ${SUMMARY} from batch_job_run where "jobName" = job.name order by id desc limit 1) newest`,
    values: [jobNames],
  });
  return new Map(rows.map((run) => [run.jobName, run]));
}

/** The least UUID v7 of that millisecond: the first 48 bits are the time (RFC 9562, 5.7), so ids stand in for times. */
function firstIdAt(time: Date): string {
  const hex = Math.max(0, time.getTime()).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

const likePattern = (text: string): string => `%${text.replace(/[\\%_]/g, '\\$&')}%`;
