import { type FinishedRun, onlyFinished } from './run-result.js';
import { passRoom } from '../lib/process/body-room.js';
import { dryRunWishIn } from './dry-run-wish.js';
import type { Job } from '../lib/job-files/registry.js';
import { EveryItemFailed } from '../lib/process-in-batches.js';
import { knowsDryRun } from './knows-dry-run.js';
import type { JobCall } from './job-call.js';
import { runJob } from './run-job.js';
import type { RunWrites } from '../lib/run-knex/write-totals.js';
import { ServiceError } from '../lib/errors/service-error.js';

type StepName = 'dry run' | 'real run' | 'second run';

/** One of a rehearsal's three runs, and what is to be thought of it. */
export interface RehearsalStep {
  readonly step: StepName;
  readonly runId: string;
  readonly status: FinishedRun['outcome']['status'] | 'unknown';
  /** The counts of the job's result, where it has such. */
  readonly processed: number | undefined;
  readonly succeeded: number | undefined;
  readonly failed: number | undefined;
  /** Rows by table and verb. */
  readonly writes: RunWrites;
  readonly verdict: 'passed' | 'warning' | 'failed';
  /** Why, where it has not passed. */
  readonly reason: string | undefined;
}

/** What a rehearsal came to. */
export interface RehearsalReport {
  /** The worst of the steps' verdicts; `stopped` when it was not gone on with after the dry run. */
  readonly verdict: RehearsalStep['verdict'] | 'stopped';
  readonly steps: readonly RehearsalStep[];
}

/** A real run that processes more or fewer than the dry run by more than this has met other data, or is another job. */
const TOLERANCE = 0.05;

/**
 * Does what a careful operator does by hand: a dry run; then, when `confirm` says so, the real one, whose counts must be
 * the dry run's within 5 %; then the same once more, which must write nothing. Items that failed are a warning. The runs name the dry
 * run as their parent.
 * @throws {ServiceError} 400 when the job has no isDryRun in its RequestBody; else as runJob
 */
export async function rehearse(job: Job, call: JobCall, confirm: (dryRun: RehearsalStep) => Promise<boolean>): Promise<RehearsalReport> {
  await requireDryRun(job);
  refuseWish(call.body);
  const dry = await runStep('dry run', job, { ...call, body: withDryRun(call.body, true) }, judgeDryRun);
  if (dry.verdict === 'failed') return reportOf([dry]);
  if (!(await confirm(dry))) return { verdict: 'stopped', steps: [dry] };
  const real = { ...call, body: withDryRun(call.body, false), parentRunId: dry.runId };
  const first = await runStep('real run', job, real, (facts, run) => judgeRealRun(facts, run, dry));
  if (first.verdict === 'failed') return reportOf([dry, first]);
  const second = await runStep('second run', job, real, (facts, run) => judgeSecondRun(facts, run, first));
  return reportOf([dry, first, second]);
}

async function requireDryRun(job: Job): Promise<void> {
  const { RequestBody } = await job.load();
  if (!RequestBody || !knowsDryRun(RequestBody)) throw new ServiceError(400, 'This job cannot be rehearsed: it exports no RequestBody with an isDryRun.');
}

/** A rehearsal does the real run too. @throws {ServiceError} 400 for a body that asks for a dry run alone */
function refuseWish(body: unknown): void {
  const wish = dryRunWishIn(body);
  if (wish !== undefined) throw new ServiceError(400, `The body asks for a dry run (${wish}), and a rehearsal also does the real run. Leave it out, or run the job itself with it.`);
}

/** @throws {ServiceError} 400 */
function withDryRun(body: unknown, isDryRun: boolean): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new ServiceError(400, 'The body of a rehearsal must be a JSON object.');
  const own = { ...body, isDryRun };
  passRoom(body, own);
  return own;
}

type Judged = Pick<RehearsalStep, 'verdict' | 'reason'>;
type Facts = Omit<RehearsalStep, 'verdict' | 'reason'>;

type Judge = (facts: Facts, run: FinishedRun) => Judged;

const PASSED: Judged = { verdict: 'passed', reason: undefined };
const failed = (reason: string): Judged => ({ verdict: 'failed', reason });
const warning = (reason: string): Judged => ({ verdict: 'warning', reason });

async function runStep(step: StepName, job: Job, call: JobCall, judge: Judge): Promise<RehearsalStep> {
  // Each run has a body and a record of its own; the request is the first one's.
  const run = onlyFinished(await runJob(job, { ...call, request: undefined }));
  const status = run.recorded === 'recorded' ? run.outcome.status : 'unknown';
  const facts: Facts = { step, runId: run.id, status, ...countsOf(run), writes: run.writes ?? {} };
  return { ...facts, ...judge(facts, run) };
}

/** From what is sent, and not from the value, which may have code of the job's own. A run that failed may have its counts in the error's data. */
function countsOf({ outcome }: FinishedRun) {
  const result = outcome.text === undefined ? outcome.problem?.data : (JSON.parse(outcome.text) as unknown);
  const { processed, succeeded, failed: failures } = recordOf(result);
  const number = (value: unknown) => (typeof value === 'number' ? value : undefined);
  return { processed: number(processed), succeeded: number(succeeded), failed: number(failures) };
}

const recordOf = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? { ...value } : {});

const wroteNothing = ({ writes }: Facts): boolean => Object.keys(writes).length === 0;

const judgeDryRun: Judge = (facts, run) => failureOf(facts, run) ?? (wroteNothing(facts) ? judgeItems(facts) : failed('a dry run wrote'));

const judgeRealRun = (facts: Facts, run: FinishedRun, dry: RehearsalStep): Judged => failureOf(facts, run) ?? compare(facts, dry) ?? judgeItems(facts);

function judgeSecondRun(facts: Facts, run: FinishedRun, first: RehearsalStep): Judged {
  // Where items of the first run failed, they may be all that is left to do. More than these are others.
  const hasNoMore = facts.failed !== undefined && facts.failed <= (first.failed ?? 0);
  const hasOnlyThese = facts.status === 'failed' && hasNoMore && 'thrown' in run.settled && run.settled.thrown instanceof EveryItemFailed;
  const failure = hasOnlyThese ? undefined : failureOf(facts, run);
  return failure ?? (wroteNothing(facts) ? judgeItems(facts) : failed('the second run wrote again: the job is not idempotent'));
}

function failureOf({ status }: Facts, { outcome: { problem } }: FinishedRun): Judged | undefined {
  const { message } = recordOf(problem?.data);
  return status === 'succeeded' ? undefined : failed(`the run is ${status}: ${problem?.detail ?? (typeof message === 'string' ? message : 'see the run')}`);
}

/** A real run that met other data than the dry run, or that failed where only a write can, such as at a constraint: no dry run finds that. */
function compare({ processed, failed: failures = 0 }: Facts, dry: RehearsalStep): Judged | undefined {
  if (processed === undefined || dry.processed === undefined) return undefined;
  const allowed = dry.processed * TOLERANCE;
  if (Math.abs(processed - dry.processed) > allowed) return warning(`processed ${processed}, and the dry run ${dry.processed}`);
  return failures - (dry.failed ?? 0) > allowed ? warning(`${failures} failed, and of the dry run ${dry.failed ?? 0}`) : undefined;
}

/** Items that failed do not end a run, so nobody would look for them. */
function judgeItems({ runId, processed, failed: failures = 0 }: Facts): Judged {
  if (failures === 0) return PASSED;
  return warning(`${failures}${processed === undefined ? '' : ` of ${processed}`} failed. See them by: npm run -s job -- failures ${runId} (GET /runs/${runId}/failures)`);
}

function reportOf(steps: readonly RehearsalStep[]): RehearsalReport {
  const verdicts = steps.map(({ verdict }) => verdict);
  return { verdict: verdicts.includes('failed') ? 'failed' : verdicts.includes('warning') ? 'warning' : 'passed', steps };
}
