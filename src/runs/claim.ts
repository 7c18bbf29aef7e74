import { envConfig } from '../lib/env-config.js';
import { isRefusedData } from '../lib/errors/postgres-fault.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import { giveRoomBack } from '../lib/process/body-room.js';
import { type RunScope, tryRunScope } from '../lib/run-scope.js';
import { ActiveRun } from './active-run.js';
import { addActiveRun, beginStart, endStart, isActive } from './active-runs.js';
import { dryRunWishIn } from './dry-run-wish.js';
import { type KeptBody, keepBody } from './kept-body.js';
import { type Claim, type Claimed, type Claiming, claimNextAttempt, claimRow } from './records/claim-row.js';
import { newRunId } from './records/run-id.js';
import { findRun } from './records/history.js';
import { anotherIsActive, whyNotAgain } from './records/run-refusals.js';
import { restartable } from './records/run-status.js';
import { findRunInTheWay, isOverlap } from './records/skip.js';
import type { RunElsewhere, SkippedRun } from './run-result.js';
import type { RunStart } from './run-start.js';

const MOST_KEYS_BYTES = 104_857_600;

/** The run's row is committed as running, it counts as active here, and its lease is kept: it is to be executed. */
export interface ClaimedRun {
  readonly kind: 'claimed';
  readonly run: ActiveRun;
}

/**
 * Claim: commits that a run of `name` is this process's to execute, as a new row, as a scheduler's delivery, or as the next attempt
 * of an earlier run; or that it is not to be.
 * @throws {ServiceError} 503 when that could not be written or the service is stopping, 409 when the run cannot be started again
 */
export async function claimRun(name: string, start: RunStart): Promise<ClaimedRun | SkippedRun | RunElsewhere> {
  const outer = tryRunScope();
  if (outer?.whyNoRuns !== undefined) throw new Error(outer.whyNoRuns);
  // What a run has left behind is no part of it any more.
  const isNested = outer !== undefined && isActive(outer.run);
  const since = performance.now();
  beginStart(isNested);
  try {
    const kept = start.kept ?? (await keepBody(start.body, 'none', outer?.scrubber));
    const row = rowOf(name, start, kept, outer);
    const claim = start.restart ? await restarted(row, start.restart) : await started(row);
    if (claim.kind !== 'claimed') return claim;
    const run = activeRun(claim, row, start, kept, outer);
    addActiveRun(run, since, isNested);
    return { kind: 'claimed', run };
  } finally {
    giveRoomBack(start.body);
    endStart();
  }
}

function rowOf(name: string, start: RunStart, kept: KeptBody, outer: RunScope | undefined): Claiming {
  const { trigger = 'run', by, action, delivery, onlyKeys } = start;
  // A next attempt has the id of its run; this is the id of the claim.
  const id = (start.restart ? undefined : start.id) ?? newRunId();
  // Whatever is started in a dry run is one too.
  const isDryRun = start.isDryRun === true || outer?.run.isDryRun === true || dryRunWishIn(start.body) !== undefined;
  const withoutPersonalData = (text: string) => outer?.scrubber?.text(text) ?? text;
  return {
    id,
    jobName: withoutPersonalData(name),
    trigger,
    isDryRun,
    body: kept.text,
    isBodyRedacted: kept.isRedacted,
    // A next attempt keeps the body that its row has.
    sealedBody: start.restart ? undefined : kept.seal(id),
    seal: kept.seal,
    requestedBy: by?.name === undefined ? undefined : withoutPersonalData(by.name),
    parentRunId: start.parentRunId ?? outer?.run.id,
    onlyKeys: onlyKeys && toStorableJson(JSON.stringify(onlyKeys), MOST_KEYS_BYTES),
    delivery,
    isAlone: start.overlap === 'skip' && !isDryRun,
    audit: by && action ? { ...by, action } : undefined,
  };
}

async function started(row: Claiming): Promise<Claim> {
  try {
    return await claimRow(row);
  } catch (cause) {
    if (!isOverlap(cause)) throw notRecorded(cause);
    const { detail, data } = await whatIsInTheWay(row.jobName);
    throw new ServiceError(503, `${detail}. This delivery's run ended badly, and is started again by a delivery that comes after that.`, { cause, data, retryAfterSeconds: 5 });
  }
}

async function restarted({ id, jobName, trigger, isDryRun, requestedBy, isAlone, audit }: Claiming, restart: NonNullable<RunStart['restart']>): Promise<Claimed> {
  const taking = { id: restart.id, attempt: restart.attempt, from: restartable, keepsPlace: restart.keepCursor };
  const claim = await claimNextAttempt({ id, jobName, trigger, isDryRun, requestedBy, isAlone, audit, taking }).catch(async (cause: unknown) => {
    if (!isOverlap(cause)) throw notRecorded(cause);
    // It cannot be recorded as skipped: it has a row, and that says how it ended.
    const { detail, data } = await whatIsInTheWay(jobName);
    throw new ServiceError(409, detail, { data });
  });
  if (claim) return claim;
  const run = await orNotRecorded(findRun(restart.id));
  throw run ? new ServiceError(409, whyNotAgain(run)) : new ServiceError(404, `There is no run ${restart.id} any more, so it cannot be started again.`);
}

async function whatIsInTheWay(jobName: string): Promise<{ detail: string; data: { activeRunId: string | null } }> {
  const active = await orNotRecorded(findRunInTheWay(jobName));
  return { detail: anotherIsActive(active), data: { activeRunId: active?.id ?? null } };
}

/** What was looked up for a refusal. @throws {ServiceError} where that fails: nothing was run, and so much is sure */
const orNotRecorded = <T>(looking: Promise<T>): Promise<T> =>
  looking.catch((cause: unknown) => {
    throw notRecorded(cause);
  });

/** A fault that passes is 503; data that Postgres refuses, such as a job's name of 201 characters, it will refuse again. */
function notRecorded(cause: unknown): ServiceError {
  if (isRefusedData(cause)) return new ServiceError(500, "The run could not be recorded, so the job was not run: its job's name or its body cannot be stored.", { cause });
  return new ServiceError(503, 'The run could not be recorded, so the job was not run. Send it again.', { cause, retryAfterSeconds: 5 });
}

/** What a timer can wait: beyond it, it would fire at once. */
const LONGEST_TIMEOUT_MS = 2_147_483_647;

function activeRun(claim: Claimed, { jobName, isDryRun }: Claiming, start: RunStart, { scrubber }: KeptBody, outer: RunScope | undefined): ActiveRun {
  const { id, attempt, cursor, onlyKeys = start.onlyKeys, failedItems: failedBefore = 0 } = claim;
  const timeoutMs = Math.min(start.timeoutMs ?? envConfig().runTimeout, LONGEST_TIMEOUT_MS);
  const trace = start.trace ?? outer?.trace;
  const run = new ActiveRun({ id, attempt, jobName, isDryRun, timeoutMs, trace, cursor, onlyKeys, failedBefore, countWrites: start.countWrites, scrubber }, outer);
  for (const line of start.lines ?? []) run.keepLine(line);
  return run;
}
