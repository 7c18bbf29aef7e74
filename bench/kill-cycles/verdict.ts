import type { BenchDatabase } from '../harness/bench-database.js';
import type { Answer } from './clients.js';

interface RunRow extends Record<string, unknown> {
  readonly id: string;
  readonly status: string;
  readonly key: string;
  readonly fails: boolean;
  readonly finishedAt: Date | null;
  /** ms from its start to its end. */
  readonly took: number | null;
}

export interface Violation {
  readonly what: string;
  readonly key: string;
  readonly answer?: Answer | undefined;
  readonly row?: RunRow | undefined;
}

export interface Evidence {
  /** What the clients were answered, by the request's key. */
  readonly answers: ReadonlyMap<string, Answer>;
  /** What the jobs wrote down themselves, by the same key. */
  readonly trace: ReadonlyMap<string, { readonly ended: boolean }>;
}

const PAGE = 20_000;

/** Holds the table against what clients were told and what jobs did. */
export async function judge(database: BenchDatabase, evidence: Evidence) {
  const violations: Violation[] = [];
  const statuses: Record<string, number> = {};
  const seen = new Set<string>();
  let slowestLostMs = 0;
  for await (const row of allRows(database)) {
    statuses[row.status] = (statuses[row.status] ?? 0) + 1;
    if (row.status === 'lost') slowestLostMs = Math.max(slowestLostMs, row.took ?? Infinity);
    const answer = evidence.answers.get(row.key);
    const wrong = faultOf(row, answer, evidence.trace.get(row.key)) ?? (seen.has(row.key) ? 'two rows for one request' : undefined);
    if (wrong !== undefined) violations.push({ what: wrong, key: row.key, answer, row });
    seen.add(row.key);
  }
  for (const [key, answer] of evidence.answers) {
    if (answer.runId !== undefined && !seen.has(key)) violations.push({ what: 'a client was told of a run that has no row', key, answer });
  }
  for (const key of evidence.trace.keys()) {
    if (!seen.has(key)) violations.push({ what: 'a job ran without a row', key, answer: evidence.answers.get(key) });
  }
  return { violations, statuses, slowestLostMs };
}

function faultOf(row: RunRow, answer: Answer | undefined, trace: { readonly ended: boolean } | undefined): string | undefined {
  const isSuccess = answer !== undefined && answer.status >= 200 && answer.status < 300;
  if (answer?.runId !== undefined && answer.runId !== row.id) return 'the client was told of another run';
  if (isSuccess && row.status !== 'succeeded') return 'a run that was answered with 2xx has not succeeded';
  switch (row.status) {
    case 'succeeded':
      if (row.fails || !trace?.ended) return 'a run is recorded as succeeded that did not end well';
      break;
    case 'failed':
      if (!row.fails) return 'a run failed that was not told to';
      break;
    case 'lost':
      break;
    default:
      return 'a run is in no final state, or in one that nothing here leads to';
  }
  return row.finishedAt === null ? 'a run in a final state has no time of its end' : undefined;
}

async function* allRows(database: BenchDatabase): AsyncGenerator<RunRow> {
  for (let after = '00000000-0000-0000-0000-000000000000'; ; ) {
    const rows = await database.query<RunRow>(
      `select id, status, body->>'key' as key, (body->>'fails')::boolean as fails, "finishedAt",
         (extract(epoch from "finishedAt" - "startedAt") * 1000)::float8 as took
       from batch_job_run where id > $1 order by id limit ${PAGE}`,
      [after],
    );
    yield* rows;
    if (rows.length < PAGE) return;
    after = rows.at(-1)!.id;
  }
}
