import type { JSONData } from '../jobs/helpers.js';
import { isRefusedData } from '../lib/errors/postgres-fault.js';
import { newRunId } from './records/run-id.js';
import { type LogLine, tryCurrentRun } from '../lib/run-scope.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { toStorableJson } from '../lib/json/storable-json.js';
import type { AuditedAct } from './records/audit-event.js';
import { BatchJob } from '../models/batch-job.js';
import type { KeptBody } from './kept-body.js';
import type { Claim, Delivery } from './records/run-claim.js';
import { claimDelivery } from './records/run-delivery.js';
import { claimAlone, isOverlap, overlapRefused, recordSkipped } from './records/run-overlap.js';
import { insertRunning, type NewRun, type RunTrigger } from './records/run-recorder.js';
import { claimRestart, type Restart, type RestartClaim } from './records/run-restart.js';
import { restartable } from './records/run-status.js';

const MOST_KEYS_BYTES = 104_857_600;
const FOREIGN_KEY_VIOLATION = '23503';
const NOT_RECORDED = 'The run could not be recorded, so the job was not run. Send it again.';

/** What a run starts with; all of it is optional. */
export interface RunStart {
  readonly trigger?: RunTrigger | undefined;
  /** The run's id, for a caller that has used it before; default: a new one. */
  readonly id?: string | undefined;
  readonly body?: unknown;
  /** What is kept of the body; default: all of it, but for fields named like secrets. */
  readonly kept?: KeptBody | undefined;
  /** Lines that were logged before the run was on record, for its log. */
  readonly lines?: readonly LogLine[] | undefined;
  /** For the audit trail; undefined for what the service or a job starts by itself. */
  readonly audit?: AuditedAct | undefined;
  /** Whatever is started in a dry run is one too. */
  readonly isDryRun?: boolean | undefined;
  readonly requestedBy?: string | undefined;
  /** Default: RUN_TIMEOUT. */
  readonly timeoutMs?: number | undefined;
  readonly trace?: string | undefined;
  readonly delivery?: Delivery | undefined;
  /** Not beside another run of the job: the one that finds one active is `skipped`. A dry run is never, since it changes nothing. */
  readonly overlap?: 'allow' | 'skip' | undefined;
  /** How what it writes is counted; default: by the answers to its statements. */
  readonly countWrites?: 'exact' | undefined;
  /** Not a new run, but the next attempt of this one. */
  readonly restart?: Restart | undefined;
  /** Just the items with these keys. */
  readonly onlyKeys?: readonly JSONData[] | undefined;
  /** The run it belongs to; default: the one it is started in. */
  readonly parentRunId?: string | undefined;
}

/** The run is this process's to run, as which attempt, and from where on; or it is elsewhere. */
type Started = (Extract<Claim, { claimed: true }> & Partial<RestartClaim>) | Extract<Claim, { claimed: false }>;

/**
 * Commits that the run has started: as a new row, as a scheduler's delivery, or as the next attempt of an earlier run.
 * @throws {ServiceError} 503 when that could not be written, 409 when the run cannot be started again
 */
export async function recordStarted(jobName: string, isDryRun: boolean, start: RunStart, kept: KeptBody): Promise<Started> {
  if (start.restart) return restarted(start.restart, isDryRun, start.audit);
  const { trigger = 'run', requestedBy, delivery } = start;
  const id = start.id ?? newRunId();
  const run: NewRun = {
    id,
    jobName,
    trigger,
    isDryRun,
    body: kept.text,
    isBodyRedacted: kept.isRedacted,
    sealedBody: kept.seal(id),
    audit: start.audit,
    requestedBy,
    parentRunId: start.parentRunId ?? tryCurrentRun()?.id,
    onlyKeys: start.onlyKeys && toStorableJson(JSON.stringify(start.onlyKeys), MOST_KEYS_BYTES),
  };
  try {
    if (!BatchJob.isKnown(jobName)) await BatchJob.findOrCreateByName(jobName);
    const claim = await insert(run, kept, delivery, start.overlap === 'skip' && !isDryRun);
    return claim.claimed ? { ...claim, onlyKeys: start.onlyKeys } : claim;
  } catch (cause) {
    throw notRecorded(cause);
  }
}

async function restarted(restart: Restart, isDryRun: boolean, audit: AuditedAct | undefined): Promise<Started> {
  let claim: RestartClaim | undefined;
  try {
    claim = await claimRestart(restart, isDryRun, audit);
  } catch (cause) {
    throw isOverlap(cause) ? overlapRefused() : notRecorded(cause);
  }
  if (!claim) throw new ServiceError(409, `Only a run that is ${restartable.join(', ')} can be started again.`);
  return { claimed: true, ...claim };
}

async function insert(run: NewRun, kept: KeptBody, delivery: Delivery | undefined, isAlone: boolean): Promise<Claim> {
  try {
    if (delivery) return (await claimDelivery(run, delivery, kept.seal, isAlone)) ?? (await recordSkipped(run, delivery));
    if (isAlone) return await claimAlone(run);
    await insertRunning(run);
    return { claimed: true, id: run.id, attempt: 1 };
  } catch (error) {
    if ((error as { code?: unknown }).code !== FOREIGN_KEY_VIOLATION || !BatchJob.isKnown(run.jobName)) throw error;
    // The job's row went after it was seen. Once it is there again, so is the insert's chance.
    BatchJob.forget(run.jobName);
    await BatchJob.findOrCreateByName(run.jobName);
    return insert(run, kept, delivery, isAlone);
  }
}

/** A fault that passes is 503; data that Postgres refuses, such as a job's name of 201 characters, it will refuse again. */
function notRecorded(cause: unknown): ServiceError {
  if (isRefusedData(cause)) return new ServiceError(500, "The run could not be recorded, so the job was not run: its job's name or its body cannot be stored.", { cause });
  return new ServiceError(503, NOT_RECORDED, { cause, retryAfterSeconds: 5 });
}
