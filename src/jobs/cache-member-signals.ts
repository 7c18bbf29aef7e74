import { z } from 'zod';
import { getBigQueryClient, streamResults } from '@commons/backend/apis/bigquery/bigquery-client.js';
import { asyncMap } from '@commons/backend/lib/async-map.js';
import { chunkAsyncIterable } from '@commons/backend/lib/chunk-async-iterable.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { tryCurrentRun } from '@commons/backend/lib/run-scope.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'cache-member-signals';

export const config: JobConfig = {
  description:
    "Loads the newest value of each member's signals from BigQuery (BIGQUERY_PROJECT) into member_signal. Each signal is a run of its own, "
    + 'cache-member-signals-<signal>; one that fails does not stop the others.',
  timeout: '2h',
  overlap: 'skip',
  schedule: { cron: '0 5 * * *', timeZone: 'America/New_York' },
};

/** What the warehouse calls the signals that are cached here. */
const SIGNALS = ['a1c', 'bmi', 'ldl', 'systolic-blood-pressure'] as const;

type Signal = (typeof SIGNALS)[number];

export const RequestBody = z.object({
  signals: z.array(z.enum(SIGNALS)).min(1).optional().default([...SIGNALS]).describe('The signals to load. Default: all.'),
  since: z.iso.datetime({ offset: true }).optional().describe('Only what was observed at this moment or later, such as 2026-01-31T00:00:00Z. Default: all.'),
  chunkSize: z.number().int().min(1).max(5_000).optional().default(1_000).describe('Members that one statement writes.'),
  isDryRun: z.boolean().optional().default(false).describe('Read and compare everything, and write nothing.'),
});

/** The table is the warehouse's own: name yours. What comes from the body is a parameter (@name), never a part of the text. */
const QUERY = `
  SELECT member_id AS memberId, value, TIMESTAMP_TRUNC(observed_at, MILLISECOND) AS observedAt
  FROM care_warehouse.member_signal_observation
  WHERE signal = @signal AND observed_at >= @since
  QUALIFY ROW_NUMBER() OVER (PARTITION BY member_id ORDER BY observed_at DESC) = 1`;

/** A member's value, as the warehouse gives it. One from the future is wrong, and would keep every later one out. */
const Observation = z.object({
  memberId: z.string().min(1).max(200),
  value: z.number(),
  observedAt: z.iso.datetime().transform((text) => new Date(text)).refine((date) => date.getTime() < Date.now() + MOST_AHEAD_MS),
});

type Observation = z.infer<typeof Observation>;

const MOST_AHEAD_MS = 86_400_000;
const SIGNALS_AT_ONCE = 2;

/** Members. processed = succeeded + failed, and succeeded = inserted + updated + unchanged. */
type Counts = {
  processed: number;
  succeeded: number;
  failed: number;
  inserted: number;
  updated: number;
  /** Also those of which the table knows something newer. */
  unchanged: number;
};

const noCounts = (): Counts => ({ processed: 0, succeeded: 0, failed: 0, inserted: 0, updated: 0, unchanged: 0 });

export const cacheMemberSignals = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { since, chunkSize, isDryRun } = bodyResult.data;
  const signals = [...new Set(bodyResult.data.signals)];
  // Where no project is set, this says so once, before any signal is on record as failed.
  await getBigQueryClient();

  logger.log(`Caching ${signals.join(', ')}`, TAG, { since, isDryRun });
  const stop = tryCurrentRun()?.signal;
  const outcomes = await asyncMap(
    signals,
    async (signal) => {
      const counts = noCounts();
      try {
        const options = { body: { signal, since, chunkSize, isDryRun }, isDryRun };
        await BatchJobRun.trap(`${TAG}-${signal}`, async () => cacheSignal(signal, { since, chunkSize, isDryRun }, counts), options);
        return { signal, isComplete: true, ...counts };
      } catch (error) {
        stop?.throwIfAborted();
        logger.error(error, { tag: TAG, signal });
        return { signal, isComplete: false, ...counts };
      }
    },
    SIGNALS_AT_ONCE,
  );

  const summary = { isDryRun, ...total(outcomes), failedSignals: outcomes.filter(({ isComplete }) => !isComplete).map(({ signal }) => signal), signals: outcomes };
  if (summary.failedSignals.length === signals.length) throw new StatusError(502, { message: 'No signal could be loaded; see the runs of each', ...summary });
  logger.log('Job complete', TAG, summary);
  return summary;
};

interface Options {
  readonly since: string | undefined;
  readonly chunkSize: number;
  readonly isDryRun: boolean;
}

/** @returns `counts`, which is kept up to date all along, so that a signal that fails halfway is not said to have done nothing */
async function cacheSignal(signal: Signal, { since, chunkSize, isDryRun }: Options, counts: Counts): Promise<Counts> {
  const run = tryCurrentRun();
  const rows = streamResults<unknown>({ query: QUERY, params: { signal, since: new Date(since ?? 0) } });
  for await (const chunk of chunkAsyncIterable(rows, chunkSize)) {
    run?.signal.throwIfAborted();
    const observations = chunk.flatMap((row) => Observation.safeParse(row).data ?? []);
    const { fresh, changed } = await compare(signal, newestOfEach(observations));
    if (!isDryRun) await write(signal, [...fresh, ...changed]);
    counts.processed += chunk.length;
    counts.succeeded += observations.length;
    counts.failed += chunk.length - observations.length;
    counts.inserted += fresh.length;
    counts.updated += changed.length;
    counts.unchanged += observations.length - fresh.length - changed.length;
    run?.progress({ processed: counts.processed, succeeded: counts.succeeded, failed: counts.failed });
  }
  if (counts.failed > 0) logger.warn(`${counts.failed} rows of ${signal} are no observations, and were left out`, TAG);
  logger.log(`Cached ${signal}`, TAG, { ...counts, isDryRun });
  return counts;
}

/** One statement can write a row but once. */
function newestOfEach(observations: readonly Observation[]): Observation[] {
  const newest = new Map<string, Observation>();
  for (const observation of observations) {
    const known = newest.get(observation.memberId);
    if (!known || known.observedAt < observation.observedAt) newest.set(observation.memberId, observation);
  }
  return [...newest.values()];
}

/** Which of `observations` the table has nothing of, and which say more than it knows: something newer, or a correction of the same moment. */
async function compare(signal: Signal, observations: readonly Observation[]): Promise<{ fresh: Observation[]; changed: Observation[] }> {
  const memberIds = observations.map(({ memberId }) => memberId);
  const rows = await knex('member_signal').select<Observation[]>('memberId', 'value', 'observedAt').where({ signal }).whereIn('memberId', memberIds);
  const known = new Map(rows.map((row) => [row.memberId, row]));
  return {
    fresh: observations.filter(({ memberId }) => !known.has(memberId)),
    changed: observations.filter(({ memberId, value, observedAt }) => {
      const row = known.get(memberId);
      return row && (observedAt > row.observedAt || (observedAt.getTime() === row.observedAt.getTime() && value !== row.value));
    }),
  };
}

/** Writes what still is news: another run may have been here since it was compared. Harmless when repeated. */
async function write(signal: Signal, observations: readonly Observation[]): Promise<void> {
  if (observations.length === 0) return;
  await knex('member_signal')
    // In the order of the members: two runs at once lock the rows in the same order, so that neither deadlocks.
    .insert(observations.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1)).map((observation) => ({ ...observation, signal })))
    .onConflict(['memberId', 'signal'])
    .merge({ value: knex.raw('excluded.value'), observedAt: knex.raw('excluded."observedAt"'), updatedAt: knex.fn.now() })
    .whereRaw(
      'excluded."observedAt" > member_signal."observedAt" '
        + 'or (excluded."observedAt" = member_signal."observedAt" and excluded.value is distinct from member_signal.value)',
    );
}

function total(all: readonly Counts[]): Counts {
  const sum = noCounts();
  for (const counts of all) for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name];
  return sum;
}

const main: ScriptHandler = async (req) => cacheMemberSignals(req.body);
export default main;
