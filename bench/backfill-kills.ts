import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CommitCounter, latestRun, until } from './backfill-kills/victim.js';
import { countWrites, momentsOf } from './backfill-kills/verdict.js';
import { type BenchDatabase, openDatabase } from './harness/bench-database.js';
import { inProject } from './harness/paths.js';
import { randomFrom } from './harness/random.js';
import { launchServer, type LaunchedServer, ours, type ServerCommand } from './harness/server-process.js';
import { rounded } from './harness/statistics.js';
import { table } from './harness/table.js';

export interface BackfillKillsOptions {
  readonly kills: number;
  readonly rows: number;
  readonly seed: number;
}

const BATCH_SIZE = 100;
const LEASE_MS = 1_000;
/** ms from the start of an attempt within which one that is to die before its first commit does. */
const START_UP_MS = 25;
/** Of the kills, at least. */
const START_UP_SHARE = 0.2;

interface Stage {
  readonly command: ServerCommand;
  readonly database: BenchDatabase;
  readonly commits: CommitCounter;
  readonly random: () => number;
  readonly body: { readonly batchSize: number; readonly trace: string };
  readonly rows: number;
}

/**
 * Kills the server with SIGKILL at a random moment of a transactional backfill, lets another one find the run lost, resumes
 * it there by POST /runs/:id/resume, and so on; then holds the rows against what processInBatches promises: every one was
 * written exactly once. The data folder is kept when that is not so, else removed.
 */
export async function backfillKills({ kills, rows, seed }: BackfillKillsOptions) {
  const folder = inProject(`.data/backfill-kills-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const trace = path.join(folder, 'trace.txt');
  writeFileSync(trace, '');
  const production = ours(folder, inProject('bench/kill-jobs'));
  const began = performance.now();
  // Held open throughout, so that the embedded server outlives those who are killed.
  const database = await openDatabase(folder);
  const commits = await CommitCounter.listen(database.connection);
  await database.query(`
    create table counted_item (id int primary key, written int not null default 0) with (fillfactor = 50);
    insert into counted_item (id) select generate_series(1, ${rows});
    create table counted_ledger ("itemId" int not null, attempt int not null)`);
  const stage: Stage = {
    command: { ...production, env: { ...production.env, RUN_LEASE: `${LEASE_MS}ms` } },
    database, commits, random: randomFrom(seed), body: { batchSize: BATCH_SIZE, trace }, rows,
  };
  for (let kill = 1; kill <= kills; kill++) {
    await playAttempt(stage, kills - kill + 1);
    if (kill % 20 === 0) console.log(`  ${kill} kills in ${rounded((performance.now() - began) / 1_000)} s`);
  }
  const result = await playLastAttempt(stage);
  const [writes, run] = [await countWrites(database), (await latestRun(database))!];
  const moments = await momentsOf(database, trace, run.attempt - 1, BATCH_SIZE);
  await commits.close();
  await database.close();
  const isRight = run.status === 'succeeded' && result.processed === rows && [writes.once, writes.ledger, writes.inLedgerOnce].every((count) => count === rows);
  if (isRight) rmSync(folder, { recursive: true, force: true });
  const seconds = rounded((performance.now() - began) / 1_000);
  return { kills, rows, seed, seconds, attempts: run.attempt, moments, result, writes, isRight, folder: isRight ? undefined : folder };
}

/** One attempt, which dies. So many batches are let through first that what is left lasts for the kills that are left. */
async function playAttempt(stage: Stage, killsLeft: number): Promise<void> {
  const { commits, database, random } = stage;
  const [{ left }] = (await database.query<{ left: number }>('select count(*)::int as left from counted_item where written = 0')) as [{ left: number }];
  const most = (2 * left) / BATCH_SIZE / (killsLeft + 1);
  const letThrough = random() < START_UP_SHARE ? 0 : Math.min(Math.floor(random() * most), Math.ceil(left / BATCH_SIZE) - 2);
  const server = await startAttempt(stage);
  if (letThrough > 0) await until(`${letThrough} batches are committed`, () => commits.count >= letThrough);
  // Somewhere in the time that a batch takes: at its reading, its writing, its commit.
  await delay(letThrough > 0 ? random() * commits.interval * 1.5 : random() * START_UP_MS);
  await server.kill();
}

/** A new server, in which the run goes on. */
async function startAttempt({ command, database, commits, body }: Stage): Promise<LaunchedServer> {
  const server = launchServer(command);
  const [{ url }] = await Promise.all([server.listening, server.ready]);
  const run = await latestRun(database);
  if (run) await until('the run is found lost', async () => (await latestRun(database))?.status === 'lost');
  commits.restart();
  // The answer never comes: the server is killed before.
  post(`${url}${run ? `/runs/${run.id}/resume` : '/jobs/counted-backfill'}`, body).catch(() => undefined);
  const attempt = (run?.attempt ?? 0) + 1;
  await until(`attempt ${attempt} runs`, async () => (await latestRun(database))?.attempt === attempt);
  return server;
}

async function playLastAttempt({ command, database, body }: Stage): Promise<{ processed: number; succeeded: number; failed: number }> {
  const server = launchServer(command);
  const [{ url }] = await Promise.all([server.listening, server.ready]);
  const { id } = await until('the run is found lost', async () => {
    const run = await latestRun(database);
    return run?.status === 'lost' && run;
  });
  const answer = await post(`${url}/runs/${id}/resume`, body);
  const text = await answer.text();
  await server.stop();
  if (!answer.ok) throw new Error(`the last attempt was answered ${answer.status}: ${text}`);
  return JSON.parse(text) as { processed: number; succeeded: number; failed: number };
}

const post = (url: string, body: object): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

type BackfillKills = Awaited<ReturnType<typeof backfillKills>>;

export function showBackfillKills({ kills, rows, seed, seconds, attempts, moments, result, writes, isRight, folder }: BackfillKills): string {
  const { startUp, inBatch, beforeCommit, afterCommit } = moments;
  const lines = [
    ['kill -9', `${kills} in ${seconds} s (seed ${seed}), ${attempts} attempts of one run`],
    ['they struck', `${startUp} before the first batch, ${inBatch} in a batch, ${beforeCommit} between a batch and its commit, ${afterCommit} after a commit`],
    ['rows', `${rows.toLocaleString('en')} in batches of ${BATCH_SIZE}; the run says ${JSON.stringify(result)}`],
    ['by the rows\' counters', `${writes.once} written once, ${writes.repeated} more often, ${writes.never} never`],
    ['by the ledger', `${writes.inLedgerOnce} rows once, ${writes.ledger} writes in all`],
  ];
  const verdict = isRight ? 'Every row was written exactly once.' : `NOT every row was written exactly once. The database is kept in ${folder}`;
  return [table(['Kills of a backfill', ''], lines), '', verdict].join('\n');
}
