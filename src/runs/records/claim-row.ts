import type pg from 'pg';
import type { JSONData } from '../../jobs/helpers.js';
import { patiently } from '../../lib/database/patiently.js';
import { claimPool, recorderPool, type Statement } from '../../lib/database/service-pools.js';
import { writeLanes } from '../../lib/database/write-lanes.js';
import { envConfig } from '../../lib/env-config.js';
import { isForeignKeyViolation, isRefusedData } from '../../lib/errors/postgres-fault.js';
import { makeLargeRuns, makeRun, makeRuns, takeRun, type Taking } from './claim-statement.js';
import { findOrCreateByName, forgetJob, isKnownJob } from './job-rows.js';
import type { NewRun } from './new-run.js';
import { abandonClaim, type FoundRun, findClaimed } from './doubtful-claim.js';
import { redeliverable } from './run-status.js';
import { type Skipped, skipRun } from './skip.js';

/** The run is the caller's to execute, as this attempt. */
export interface Claimed {
  readonly kind: 'claimed';
  readonly id: string;
  readonly attempt: number;
  /** Where an earlier attempt got to, for one that goes on. */
  readonly cursor?: JSONData | undefined;
  /** A run that was started for some items alone keeps to them. */
  readonly onlyKeys?: readonly JSONData[] | undefined;
  /** Items that failed in earlier attempts, for one that goes on. */
  readonly failedItems?: number | undefined;
}

/** `elsewhere`: the same delivery is running, or has run, and that run's row is the answer. */
export type Claim = Claimed | Skipped | { readonly kind: 'elsewhere'; readonly id: string };

/** A run that asks for its place: the row it would have. */
export interface Claiming extends NewRun {
  /** Encrypts the body for the row of an earlier delivery, should that be taken: it opens for the id of its own row alone. */
  readonly seal: (runId: string) => Buffer | undefined;
}

/**
 * Makes a run the caller's to execute: as a new row; as the next attempt of an earlier delivery of the same key that ended badly; or
 * not at all, where it may not run beside another. However many replicas claim at the same moment, one gets the run.
 * @throws what Postgres says; a fault that may pass was tried again for DATABASE_ACQUIRE_TIMEOUT
 */
export async function claimRow(run: Claiming): Promise<Claim> {
  if (!isKnownJob(run.jobName)) await findOrCreateByName(run.jobName);
  try {
    return await claim(run);
  } catch (error) {
    if (!isForeignKeyViolation(error)) throw error;
    // The job's row went after it was seen. Once it is there again, so is the claim's chance.
    forgetJob(run.jobName);
    await findOrCreateByName(run.jobName);
    return claim(run);
  }
}

async function claim(run: Claiming): Promise<Claim> {
  if (run.delivery || run.isAlone) return withoutDoubt(run.id, () => claimOne(run));
  await clearedUp(run.id, starts.add(run, envConfig().databaseAcquireTimeout));
  return { kind: 'claimed', id: run.id, attempt: 1 };
}

const bytesOf = ({ body, onlyKeys, sealedBody }: NewRun): number => (body?.length ?? 0) + (onlyKeys?.length ?? 0) + 2 * (sealedBody?.length ?? 0);

const writes = (statementFor: (runs: readonly NewRun[]) => Statement) => async (runs: readonly NewRun[]) => {
  await recorderPool.query(statementFor(runs));
  return [];
};

/** Runs that nothing can keep from running: those that wait at the same moment go in one statement, and so in one commit. */
const starts = writeLanes<NewRun, void>(bytesOf, { small: writes(makeRuns), large: writes(makeLargeRuns) });

/** By statements of its own: another transaction may hold what it needs, and that must keep no other run waiting. */
async function claimOne(run: Claiming): Promise<Claim> {
  const [made] = await rowsOf(makeRun(run, 'claimed'));
  if (made) return claimed(made);
  const found = await findClaimed(run.id, run.delivery);
  if (!found) {
    if (run.isAlone) return skipRun(run);
    throw new Error('the run was deleted while it was looked up');
  }
  if (isOwn(found, run.id)) return claimed(found);
  // By an earlier try, whose answer was lost.
  if (found.id === run.id && found.status === 'skipped') return skipRun(run);
  const elsewhere = { kind: 'elsewhere', id: found.id } as const;
  if (!redeliverable.includes(found.status)) return elsewhere;
  const [taken] = await rowsOf(takeRun({ ...run, sealedBody: run.seal(found.id) }, { id: found.id, attempt: found.attempt, by: 'delivery', from: redeliverable, keepsPlace: false }));
  return taken ? claimed(taken) : ((await findOwn(found.id, run.id)) ?? elsewhere);
}

/** Taken by this very claim: the answer was lost. */
const isOwn = ({ claim, status }: FoundRun, claimId: string): boolean => claim === claimId && status === 'running';

/** To be asked when a run was not to be had: an earlier try may have got it while this one waited. */
async function findOwn(id: string, claimId: string): Promise<Claimed | undefined> {
  const found = await findClaimed(id, undefined);
  return found && isOwn(found, claimId) ? claimed(found) : undefined;
}

interface ClaimedRow extends pg.QueryResultRow {
  readonly id: string;
  readonly attempt: number;
  readonly cursor?: JSONData | null;
  readonly onlyKeys?: readonly JSONData[] | null;
  readonly failedItems?: number | null;
}

const rowsOf = async (statement: Statement): Promise<readonly ClaimedRow[]> => (await claimPool.query<ClaimedRow>(statement)).rows;

const claimed = ({ id, attempt, cursor, onlyKeys, failedItems }: ClaimedRow): Claimed => ({
  kind: 'claimed', id, attempt, cursor: cursor ?? undefined, onlyKeys: onlyKeys ?? undefined, failedItems: failedItems ?? undefined,
});

/** What a person asks for of a run that has ended badly: its next attempt. */
export interface Restart extends Pick<NewRun, 'id' | 'jobName' | 'trigger' | 'isDryRun' | 'requestedBy' | 'isAlone' | 'audit'> {
  readonly taking: Omit<Taking, 'by'>;
}

/** @returns undefined when the run is not one that can be started again (any more) @throws as claimRow */
export function claimNextAttempt({ taking, ...given }: Restart): Promise<Claimed | undefined> {
  return withoutDoubt(given.id, async () => {
    const [taken] = await rowsOf(takeRun(given, { ...taking, by: 'restart' }));
    return taken ? claimed(taken) : findOwn(taking.id, given.id);
  });
}

/** Tries again while the fault may pass. */
async function withoutDoubt<T>(claimId: string, work: () => Promise<T>): Promise<T> {
  let tries = 0;
  const claiming = patiently(() => {
    tries++;
    return work();
  }, envConfig().databaseAcquireTimeout);
  return clearedUp(claimId, claiming, () => tries > 1);
}

/**
 * Where a claim fails, what it may have started all the same is cleared up.
 * @param hadOtherFaults whether an earlier try failed too: that one may have started it, although the last was refused
 */
async function clearedUp<T>(claimId: string, claiming: Promise<T>, hadOtherFaults = (): boolean => false): Promise<T> {
  try {
    return await claiming;
  } catch (error) {
    if (!isRefusedData(error) || hadOtherFaults()) void abandonClaim(claimId);
    throw error;
  }
}
