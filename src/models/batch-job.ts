import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { envConfig } from '../lib/env-config.js';
import { mayPass } from '../lib/errors/postgres-fault.js';
import { newRunId } from '../runs/records/run-id.js';
import { recorderPool, type Statement } from '../lib/database/service-pools.js';

export interface BatchJobRow extends pg.QueryResultRow {
  readonly id: string;
  readonly name: string;
}

/** Names come from job files, but also from jobs that record sub-runs, which may make up any number of them. */
const MOST_KNOWN = 10_000;
const known = new Map<string, Promise<BatchJobRow>>();
const seen = new Set<string>();

/** The job of that name; made at its first run. Asked for in every run, so answered from memory after the first time. */
function findOrCreateByName(name: string): Promise<BatchJobRow> {
  let job = known.get(name);
  if (!job) {
    job = findOrInsert(name);
    if (known.size >= MOST_KNOWN) forgetAll();
    known.set(name, job);
    job.then(() => seen.add(name), () => known.delete(name));
  }
  return job;
}

/** A statement that may be repeated, tried again while its fault may pass, as the run's own row is. */
async function patiently(statement: Statement): Promise<pg.QueryResult<BatchJobRow>> {
  const until = performance.now() + envConfig().databaseAcquireTimeout;
  for (;;) {
    try {
      return await recorderPool.query<BatchJobRow>(statement);
    } catch (error) {
      if (!mayPass(error) || performance.now() > until) throw error;
      await delay(50 + Math.random() * 50);
    }
  }
}

function forgetAll(): void {
  known.clear();
  seen.clear();
}

async function findOrInsert(name: string): Promise<BatchJobRow> {
  // Insert first: two processes may be at it, and whoever comes second reads what the first has committed.
  await patiently({
    text: 'insert into batch_job (id, name) values ($1, $2) on conflict (name) do nothing',
    values: [newRunId(), name],
  });
  const { rows } = await patiently({ text: 'select id, name from batch_job where name = $1', values: [name] });
  if (!rows[0]) throw new Error(`the job ${name} was deleted while it was looked up`);
  return rows[0];
}

/** The table batch_job: one row for each name that ever ran. */
export const BatchJob = {
  findOrCreateByName,
  /** Whether the name's row was seen in this process, so that a run need not wait for it. */
  isKnown: (name: string): boolean => seen.has(name),
  /** Has the row looked up anew: it turned out to be gone. */
  forget(name: string): void {
    known.delete(name);
    seen.delete(name);
  },
};
