import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { latestRun, until } from './backfill-kills/victim.js';
import { type BenchDatabase, openDatabase } from './harness/bench-database.js';
import { inProject } from './harness/paths.js';
import { ours, startServer } from './harness/server-process.js';
import { median, rounded } from './harness/statistics.js';
import { table } from './harness/table.js';

interface Latency {
  readonly job: string;
  readonly from: string;
  /** ms from the request to cancel until whoever called the job had its answer, and nothing of the run was left on the server. */
  readonly medianMs: number;
  readonly slowestMs: number;
  readonly targetMs: number;
}

const CASES = [
  { job: 'sleeps', targetMs: 2_000 },
  { job: 'batches', targetMs: 1_000 },
];

/** How soon a run stops that is cancelled: amid a query of a minute, and between batches; at its own replica and at another. */
export async function cancelLatency({ tries }: { tries: number }): Promise<readonly Latency[]> {
  const folder = inProject('.data/bench');
  mkdirSync(folder, { recursive: true });
  const database = await openDatabase(folder);
  const command = ours(folder, inProject('bench/cancel-jobs'));
  const [one, other] = await Promise.all([startServer(command), startServer(command)]);
  try {
    await Promise.all([one.ready, other.ready]);
    const latencies: Latency[] = [];
    for (const { job, targetMs } of CASES) {
      for (const [from, url] of [['the same replica', one.url], ['another replica', other.url]] as const) {
        const taken: number[] = [];
        while (taken.length < tries) taken.push(await cancelOnce({ database, job, runAt: one.url, cancelAt: url }));
        latencies.push({ job, from, medianMs: rounded(median(taken)), slowestMs: rounded(Math.max(...taken)), targetMs });
      }
    }
    return latencies;
  } finally {
    await Promise.all([one.stop(), other.stop()]);
    await database.close();
  }
}

async function cancelOnce({ database, job, runAt, cancelAt }: { database: BenchDatabase; job: string; runAt: string; cancelAt: string }): Promise<number> {
  const before = await latestRun(database);
  const answer = fetch(`${runAt}/jobs/${job}`, { method: 'POST' });
  const { id } = await until('the run runs', async () => {
    const run = await latestRun(database);
    return run !== undefined && run.id !== before?.id && run.status === 'running' && run;
  });
  // Well inside its work, at a moment that its heartbeats do not know.
  await delay(700 + Math.random() * 500);
  const asked = performance.now();
  const cancelled = fetch(`${cancelAt}/runs/${id}/cancel`, { method: 'POST' });
  const { status } = await answer;
  await until('nothing of it is left', async () => (await sleeping(database)) === 0);
  const took = performance.now() - asked;
  await cancelled;
  if (status !== 409) throw new Error(`the cancelled run was answered ${status}`);
  return took;
}

const sleeping = async (database: BenchDatabase): Promise<number> =>
  (await database.query<{ n: number }>(`select count(*)::int as n from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`))[0]!.n;

export function showCancelLatency(latencies: readonly Latency[]): string {
  const what: Record<string, string> = { sleeps: 'in a query of 60 s', batches: 'between batches' };
  const rows = latencies.map(({ job, from, medianMs, slowestMs, targetMs }) => [
    `${what[job]}, cancelled at ${from}`, `${medianMs} ms`, `${slowestMs} ms`, `${targetMs} ms: ${slowestMs <= targetMs ? 'reached' : 'MISSED'}`,
  ]);
  return ['Cancel: until the run is over and nothing of it works on the server\n', table(['', 'median', 'slowest', 'target'], rows)].join('\n');
}
