import { envConfig } from '../lib/env-config.js';
import logger from '../lib/logging.js';
import { inPieces, MOST_ARRAY_BYTES } from '../lib/database/piece-length.js';
import { RunCancelled, RunLeaseLost } from '../lib/errors/service-error.js';
import { findCancellations, findRunning, type LeaseAnswer, renewLeases } from './records/leases.js';

const TAG = 'heartbeat';

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

/** How far a run is, what it wrote, how many of its items failed, and whether it asked which items to keep to. */
export interface RunNews {
  readonly failedItems?: number | undefined;
  readonly asksForKeys?: true | undefined;
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
    await hearOfCancellations(beats.filter((each) => !isDue(each)));
    for (const due of inPieces(beats.filter(isDue), PIECE)) await renew(due, now);
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

async function renew(due: readonly Beat[], now: number): Promise<void> {
  if (due.length === 0) return;
  const renewed = byAttempt(await renewLeases(due.map(({ run: { id, attempt }, news }) => ({ id, attempt, ...news }))));
  for (const { run } of due) {
    const row = renewed.get(keyOf(run));
    // Counted from before the statement was sent, so that this process never believes in a lease that has passed.
    if (row) run.leaseUntil = now + envConfig().runLease;
    if (row?.isCancelled) run.cancel(new RunCancelled(row.by ?? undefined));
  }
  await lookAfter(due.filter(({ run }) => !renewed.has(keyOf(run))));
}

/** Runs that were not renewed: somebody holds their rows locked, and they are tried again; or they are no longer this process's. */
async function lookAfter(missing: readonly Beat[]): Promise<void> {
  if (missing.length === 0) return;
  const running = new Set((await findRunning(missing.map(({ run }) => run.id))).map(keyOf));
  for (const { run } of missing) if (leases.has(run) && !running.has(keyOf(run))) run.askToStop(new RunLeaseLost());
  await hearOfCancellations(missing);
}

async function hearOfCancellations(beats: readonly Beat[]): Promise<void> {
  if (beats.length === 0) return;
  const cancelled = byAttempt(await findCancellations(beats.map(({ run }) => run.id)));
  for (const { run } of beats) {
    const row = cancelled.get(keyOf(run));
    if (row) run.cancel(new RunCancelled(row.by ?? undefined));
  }
}

const keyOf = ({ id, attempt }: Pick<LeaseAnswer, 'id' | 'attempt'>): string => `${id} ${attempt}`;

const byAttempt = (rows: readonly LeaseAnswer[]): ReadonlyMap<string, LeaseAnswer> => new Map(rows.map((row) => [keyOf(row), row]));
