import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase } from './harness/bench-database.js';
import { inProject } from './harness/paths.js';
import { randomFrom } from './harness/random.js';
import { launchServer, ours, type ServerCommand, startServer } from './harness/server-process.js';
import { percentile, rounded } from './harness/statistics.js';
import { table } from './harness/table.js';
import { type Answer, runClients, type RunRequest } from './kill-cycles/clients.js';
import { readTrace } from './kill-cycles/trace.js';
import { judge, type Violation } from './kill-cycles/verdict.js';

export interface KillCyclesOptions {
  readonly cycles: number;
  readonly seed: number;
}

const LEASE_MS = 2_000;
const QUICK_CLIENTS = 10;
const SLOW_CLIENTS = 4;

/**
 * Kills the server with SIGKILL at a random moment, again and again, while clients ask for runs; the embedded database
 * stops behind it and starts again with the next one. Then holds the table against what the clients were told and what the
 * jobs wrote down themselves. The data folder is kept when something is wrong, else removed.
 */
export async function killCycles({ cycles, seed }: KillCyclesOptions) {
  const folder = inProject(`.data/kill-cycles-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const trace = path.join(folder, 'trace.txt');
  writeFileSync(trace, '');
  const production = ours(folder, inProject('bench/kill-jobs'));
  const command = { ...production, env: { ...production.env, RUN_LEASE: `${LEASE_MS}ms` } };
  const random = randomFrom(seed);
  const answers = new Map<string, Answer>();
  const readyMs: number[] = [];
  const began = performance.now();

  for (let cycle = 1; cycle <= cycles; cycle++) {
    await playCycle({ cycle, command, random, answers, readyMs, trace });
    if (cycle % 50 === 0) console.log(`  ${cycle} cycles in ${rounded((performance.now() - began) / 1_000)} s, ${answers.size} answers`);
  }
  const seconds = rounded((performance.now() - began) / 1_000);

  await letReaperWork(command);
  const database = await openDatabase(folder);
  const { violations, statuses, slowestLostMs } = await judge(database, { answers, trace: await readTrace(trace) });
  await database.close();
  if (violations.length === 0) rmSync(folder, { recursive: true, force: true });

  return {
    cycles,
    seed,
    seconds,
    answers: countStatuses(answers),
    rows: statuses,
    slowestLostMs: rounded(slowestLostMs),
    readyMsP50: rounded(percentile(readyMs, 0.5)),
    readyMsMax: rounded(percentile(readyMs, 1)),
    folder: violations.length > 0 ? folder : undefined,
    violations,
  };
}

interface Cycle {
  readonly cycle: number;
  readonly command: ServerCommand;
  readonly random: () => number;
  readonly answers: Map<string, Answer>;
  readonly readyMs: number[];
  readonly trace: string;
}

/** One life of the server. It ends during the start, soon after it listens, or in the middle of its work. */
async function playCycle({ cycle, command, random, answers, readyMs, trace }: Cycle): Promise<void> {
  const server = launchServer(command);
  const fate = random();
  if (fate < 0.1) {
    await delay(random() * 500);
    return server.kill();
  }
  const { url } = await server.listening;
  const stopping = new AbortController();
  const clients = runClients(url, requests(cycle, trace, random), answers, stopping.signal);
  if (fate > 0.4) readyMs.push(await server.ready);
  await delay(random() * 600);
  await server.kill();
  stopping.abort();
  await clients;
}

function requests(cycle: number, trace: string, random: () => number): (() => RunRequest)[] {
  let count = 0;
  const client = (ms: () => number) => () => ({ key: `${cycle}-${++count}`, ms: Math.floor(ms()), fails: random() < 0.03, trace });
  return [
    ...Array.from({ length: QUICK_CLIENTS }, () => client(() => random() * 20)),
    ...Array.from({ length: SLOW_CLIENTS }, () => client(() => 100 + random() * 2_500)),
  ];
}

/** A last server, left alone for as long as it takes a lease to pass and to be noticed, and then some. */
async function letReaperWork(command: ServerCommand): Promise<void> {
  const server = await startServer(command);
  await server.ready;
  await delay(LEASE_MS * 2);
  await server.stop();
}

function countStatuses(answers: ReadonlyMap<string, Answer>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers.values()) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

type KillCycles = Awaited<ReturnType<typeof killCycles>>;

export function showKillCycles(result: KillCycles): string {
  const counts = (of: Record<string, number>) => Object.entries(of).map(([name, count]) => `${count} ${name}`).join(', ');
  const rows = [
    ['kill -9', `${result.cycles} cycles in ${result.seconds} s (seed ${result.seed})`],
    ['answers', counts(result.answers)],
    ['rows', counts(result.rows)],
    ['slowest to be found lost', `${result.slowestLostMs} ms after its start, lease ${LEASE_MS} ms`],
    ['spawn to ready again', `${result.readyMsP50} ms in the middle, ${result.readyMsMax} ms at most`],
    ['violations', String(result.violations.length)],
  ];
  return [table(['Kill cycles', ''], rows), ...result.violations.slice(0, 50).map(showViolation)].join('\n');
}

const showViolation = ({ what, key, answer, row }: Violation): string => `  ${what}: ${JSON.stringify({ key, answer, row })}`;
