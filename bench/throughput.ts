import { type BenchDatabase, assertDurable, openDatabase } from './harness/bench-database.js';
import { cpuTimeMs } from './harness/cpu-time.js';
import { load, type LoadResult } from './harness/load.js';
import { inProject } from './harness/paths.js';
import { quietMachine } from './harness/quiet-machine.js';
import { checkRecorded, lastRun } from './harness/recorded-runs.js';
import { ours, type ServerCommand, type ServerProcess, startServer } from './harness/server-process.js';
import { median, rounded } from './harness/statistics.js';
import { table } from './harness/table.js';

export interface ThroughputOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  /** Connections of the naive recorder's pool. */
  readonly naivePool: number;
}

const SUBJECTS = ['bare', 'ours', 'naive'] as const;
type Subject = (typeof SUBJECTS)[number];

const RUNS = { bare: undefined, ours: 'batch_job_run', naive: 'naive_run' } as const;

/** What issue 2 asks for. */
const TARGETS = { toBare: 0.75, toNaive: 2.2 };

interface Round extends LoadResult {
  /** Rows of runs, checked; none for bare. */
  readonly rows: number | undefined;
  /** us of the server's own processor time for each run. */
  readonly cpuMicros: number | undefined;
  /** Hardly anything else ran on the machine when it began. */
  readonly wasQuiet: boolean;
}

/**
 * Runs a second of bare Express, of ours and of a naive recorder, in short rounds that take turns, so that a machine whose
 * speed drifts slows all three alike. What counts is the median of the ratios within each round.
 */
export async function throughput(options: ThroughputOptions) {
  const dataFolder = inProject('.data/bench');
  const database = await openDatabase(dataFolder);
  const servers: Partial<Record<Subject, ServerProcess>> = {};
  try {
    const settings = await assertDurable(database);
    servers.ours = await startServer(ours(dataFolder, inProject('bench/jobs')));
    await servers.ours.ready;
    await prepareTables(database);
    servers.bare = await startServer(peer('bare'));
    servers.naive = await startServer(peer('naive', { CONNECTION: JSON.stringify(database.connection), POOL: String(options.naivePool) }));

    for (const server of Object.values(servers)) await checkAnswer(server);

    const rounds: Record<Subject, Round>[] = [];
    // The first round warms up and is thrown away.
    for (let round = 0; round <= options.rounds; round++) {
      const measured = await playRound(round, servers as Record<Subject, ServerProcess>, database, options);
      if (round > 0) rounds.push(measured);
    }
    return summary(rounds, settings, options);
  } finally {
    for (const server of Object.values(servers)) await server.stop();
    await database.close();
  }
}

const peer = (name: string, env?: Record<string, string>): ServerCommand => ({
  args: ['--import', 'tsx', inProject(`bench/servers/${name}.ts`)],
  env,
  cwd: inProject(),
});

/** Empty tables for both, and the naive one with the very columns, checks, indexes and reference of ours. */
async function prepareTables(database: BenchDatabase): Promise<void> {
  await database.query('truncate batch_job_run, batch_job_run_log cascade');
  await database.query('drop table if exists naive_run');
  await database.query('create table naive_run (like batch_job_run including all)');
  await database.query('alter table naive_run add foreign key ("jobName") references batch_job (name)');
  await database.query(`insert into batch_job (id, name) values (gen_random_uuid(), 'no-op') on conflict do nothing`);
}

/** All three must answer the same, or they do not do the same. */
async function checkAnswer({ url }: ServerProcess): Promise<void> {
  const answer = await fetch(`${url}/jobs/no-op`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
  const text = await answer.text();
  if (answer.status !== 200 || text !== '{"ok":true}') throw new Error(`${url} answered ${answer.status} ${text}`);
}

/** Each subject once; each round begins with another. */
async function playRound(round: number, servers: Record<Subject, ServerProcess>, database: BenchDatabase, options: ThroughputOptions) {
  const measured: Partial<Record<Subject, Round>> = {};
  for (let turn = 0; turn < SUBJECTS.length; turn++) {
    const subject = SUBJECTS[(round + turn) % SUBJECTS.length]!;
    measured[subject] = await measure(servers[subject], RUNS[subject], database, options);
  }
  return measured as Record<Subject, Round>;
}

async function measure(server: ServerProcess, runs: (typeof RUNS)[Subject], database: BenchDatabase, { seconds, connections }: ThroughputOptions): Promise<Round> {
  // So that none pays for what another wrote.
  await database.query('checkpoint');
  const wasQuiet = await quietMachine();
  const after = runs && (await lastRun(database, runs));
  const cpuBefore = cpuTimeMs(server.pid);
  const result = await load({ url: `${server.url}/jobs/no-op`, connections, until: { seconds } });
  const cpuAfter = cpuTimeMs(server.pid);
  return {
    ...result,
    wasQuiet,
    rows: runs && (await checkRecorded(database, runs, after!, result.answers, connections)),
    cpuMicros: cpuBefore === undefined || cpuAfter === undefined ? undefined : ((cpuAfter - cpuBefore) * 1_000) / result.answers,
  };
}

function summary(rounds: readonly Record<Subject, Round>[], settings: Record<string, string>, options: ThroughputOptions) {
  const ratio = (of: Subject, to: Subject) => median(rounds.map((round) => round[of].perSecond / round[to].perSecond));
  const subjects = SUBJECTS.map((subject) => {
    const middle = (field: 'perSecond' | 'p50' | 'p99' | 'cpuMicros') => median(rounds.map((round) => round[subject][field] ?? NaN));
    return {
      subject,
      runsPerSecond: rounded(middle('perSecond')),
      toBare: rounded(ratio(subject, 'bare'), 3),
      toNaive: rounded(ratio(subject, 'naive'), 2),
      p50Ms: middle('p50'),
      p99Ms: middle('p99'),
      cpuMicrosPerRun: rounded(middle('cpuMicros'), 1),
      answers: rounds.reduce((sum, round) => sum + round[subject].answers, 0),
      rows: RUNS[subject] && rounds.reduce((sum, round) => sum + (round[subject].rows ?? 0), 0),
    };
  });
  const measurements = rounds.flatMap((round) => Object.values(round));
  const disturbed = measurements.filter(({ wasQuiet }) => !wasQuiet).length / measurements.length;
  return { options, settings, subjects, disturbed: rounded(disturbed, 2), rounds, targets: TARGETS };
}

type Throughput = Awaited<ReturnType<typeof throughput>>;

const NAMES: Record<Subject, string> = { bare: 'bare Express, no database', ours: 'ours, every run recorded', naive: 'naive, INSERT and UPDATE' };

export function showThroughput({ subjects, settings, options, disturbed, targets }: Throughput): string {
  const rows = subjects.map((it) => [
    NAMES[it.subject], it.runsPerSecond, it.toBare.toFixed(2), it.toNaive.toFixed(2), `${it.p50Ms} ms`, `${it.p99Ms} ms`, `${it.cpuMicrosPerRun} us`, it.answers, it.rows ?? '-',
  ]);
  const mine = subjects.find(({ subject }) => subject === 'ours')!;
  const verdict = (value: number, target: number) => `${value} (target ${target}: ${value >= target ? 'reached' : 'MISSED'})`;
  return [
    `Throughput: POST /jobs/no-op, ${options.connections} connections, medians of ${options.rounds} rounds of ${options.seconds} s each`,
    `Postgres ${settings.server_version}, synchronous_commit ${settings.synchronous_commit}, fsync ${settings.fsync}; naive with a pool of ${options.naivePool}`,
    '',
    table(['', 'runs/s', 'of bare', 'x naive', 'p50', 'p99', 'server CPU/run', 'answers', 'rows, checked'], rows),
    '',
    ...(disturbed > 0 ? [`Something else was busy on this machine in ${Math.round(disturbed * 100)} % of the measurements: take the figures again.`] : []),
    `ours to bare ${verdict(mine.toBare, targets.toBare)}, ours to naive ${verdict(mine.toNaive, targets.toNaive)}`,
  ].join('\n');
}
