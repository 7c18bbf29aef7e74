import type pg from 'pg';
import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';
import { inPieces, MOST_ARRAY_BYTES } from '../lib/database/piece-length.js';
import { recorderPool } from '../lib/database/service-pools.js';
import { RunCancelled, RunLeaseLost } from '../lib/errors/service-error.js';

const TAG = 'run-lease';

/** A running run, as far as its lease goes. */
export interface Leased {
  readonly id: string;
  /** A lease is an attempt's: one that was taken for lost must not keep its successor's. */
  readonly attempt: number;
  /** performance.now() until which the database takes this process for alive. */
  leaseUntil: number;
  /** Called when the lease has passed all the same, or the row turns out to be no longer running. */
  askToStop(reason: Error): void;
  /** Called when somebody asked for that, at whichever replica. */
  cancel(reason: Error): void;
  /** What is new since the last call, as JSON texts; undefined when nothing is. */
  news?(): RunNews | undefined;
}

/** How far a run is, and what it wrote. */
export interface RunNews {
  readonly progress?: string | undefined;
  readonly writes?: string | undefined;
}

/** ms. A run is told of a cancellation, and tells how far it is, this often. */
const BEAT_MS = 500;
/** ms. Progress is written no more often. */
const NEWS_MS = 1_000;

interface Entry extends Leased {
  newsAt?: number;
}

const leases = new Set<Entry>();
let heartbeat: NodeJS.Timeout | undefined;
let isBeating = false;

/**
 * Keeps the lease of a run that this process has just started, until dropLease.
 * @param since performance.now() before its row was written
 */
export function keepLease(run: Leased, since: number): void {
  const { runLease } = envConfig();
  run.leaseUntil = since + runLease;
  leases.add(run);
  // It beats on once it was started, since runs come and go faster; and it holds no process back from exiting.
  heartbeat ??= setInterval(() => void beat(), Math.min(BEAT_MS, runLease / 3)).unref();
}

export const dropLease = (run: Leased): void => void leases.delete(run);

/** Renews leases, writes how far runs are, and hears of cancellations: two statements, as a rule, for all runs. Never rejects. */
async function beat(): Promise<void> {
  const now = performance.now();
  for (const run of leases) if (run.leaseUntil < now) run.askToStop(new RunLeaseLost());
  if (leases.size === 0 || isBeating) return;
  isBeating = true;
  try {
    const { runLease } = envConfig();
    // Most runs end before their first beat.
    const beats = [...leases]
      .filter((run) => run.leaseUntil - now < runLease - BEAT_MS / 2)
      .map((run) => ({ run, news: newsOf(run, now) }))
      // In the order that every statement on several runs takes their rows in: two that differ could wait for each other.
      .toSorted((a, b) => (a.run.id < b.run.id ? -1 : 1));
    const isDue = ({ run, news }: Beat) => news !== undefined || run.leaseUntil - now < (runLease * 2) / 3;
    for (const due of inPieces(beats.filter(isDue), PIECE)) await renew(due, now);
    await hearOfCancellations(beats.filter((each) => !isDue(each)));
  } catch (error) {
    logger.error(error, { tag: TAG, during: 'renewing leases', runs: leases.size });
  } finally {
    isBeating = false;
  }
}

interface Beat {
  readonly run: Entry;
  readonly news: RunNews | undefined;
}

const PIECE = { mostItems: 1_000, mostBytes: MOST_ARRAY_BYTES, bytesOf: ({ news }: Beat) => (news?.progress?.length ?? 0) + (news?.writes?.length ?? 0) };

function newsOf(run: Entry, now: number): RunNews | undefined {
  if (now - (run.newsAt ?? -Infinity) < NEWS_MS) return undefined;
  run.newsAt = now;
  return run.news?.();
}

interface BeatRow extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  readonly isCancelled: boolean;
  readonly by: string | null;
}

async function renew(due: readonly Beat[], now: number): Promise<void> {
  if (due.length === 0) return;
  const { runLease } = envConfig();
  const { rows } = await recorderPool.query<BeatRow>({
    text: `update batch_job_run run
           set "leaseUntil" = now() + $4 * interval '1 ms', progress = coalesce(beat.progress, run.progress),
             writes = coalesce(beat.writes, run.writes)
           from unnest($1::uuid[], $2::jsonb[], $3::jsonb[], $5::int[]) as beat (id, progress, writes, attempt)
           where run.id = beat.id and run.attempt = beat.attempt and run.status = 'running'
           returning run.id, run.attempt, run."cancelRequestedAt" is not null as "isCancelled", run."cancelRequestedBy" as by`,
    values: [due.map(({ run }) => run.id), due.map(({ news }) => news?.progress), due.map(({ news }) => news?.writes), runLease, due.map(({ run }) => run.attempt)],
    query_timeout: runLease / 4,
  });
  const renewed = new Map(rows.map((row) => [`${row.id} ${row.attempt}`, row]));
  for (const { run } of due) {
    const row = renewed.get(`${run.id} ${run.attempt}`);
    // Counted from before the statement was sent, so that this process never believes in a lease that has passed.
    if (row) run.leaseUntil = now + runLease;
    else if (leases.has(run)) run.askToStop(new RunLeaseLost());
    if (row?.isCancelled) run.cancel(new RunCancelled(row.by ?? undefined));
  }
}

async function hearOfCancellations(beats: readonly Beat[]): Promise<void> {
  if (beats.length === 0) return;
  const { rows } = await recorderPool.query<BeatRow>({
    text: `select id, attempt, "cancelRequestedBy" as by from batch_job_run where id = any($1::uuid[]) and "cancelRequestedAt" is not null`,
    values: [beats.map(({ run }) => run.id)],
    query_timeout: envConfig().runLease / 4,
  });
  for (const { id, attempt, by } of rows) beats.find(({ run }) => run.id === id && run.attempt === attempt)?.run.cancel(new RunCancelled(by ?? undefined));
}

interface LostRow extends pg.QueryResultRow {
  readonly id: string;
  readonly jobName: string;
  readonly host: string | null;
}

/**
 * Marks as `lost` every running run, of whichever process, whose lease has passed by the database's clock.
 * @returns those it marked
 */
export async function markLostRuns(): Promise<readonly LostRow[]> {
  const { rows } = await recorderPool.query<LostRow>({
    text: `update batch_job_run set status = 'lost', "finishedAt" = now(), "leaseUntil" = null,
             error = jsonb_build_object('name', 'RunLost', 'message', $1::text)
           where id in (select id from batch_job_run where status = 'running' and "leaseUntil" < now() order by id for update skip locked)
           returning id, "jobName", host`,
    values: ['The lease passed: the process that ran it died, or lost the database.'],
  });
  return rows;
}
