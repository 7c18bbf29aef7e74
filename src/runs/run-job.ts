import type { Request } from 'express';
import { recordRun, type FinishedRun, type RunElsewhere } from './run-lifecycle.js';
import { keepBody, withParsed } from './kept-body.js';
import type { RunStart } from './run-start.js';
import { requireNamed } from '../lib/auth/require-named.js';
import type { Caller } from '../lib/auth/callers.js';
import { BodyCheck } from './body-check.js';
import { dryRunWishIn } from './dry-run-wish.js';
import type { LoadedJob } from '../lib/job-files/module.js';
import type { Job } from '../lib/job-files/registry.js';
import { knowsDryRun } from './knows-dry-run.js';
import { newRunId } from './records/run-id.js';
import { runInScope, tryRunScope } from '../lib/run-scope.js';
import { ServiceError } from '../lib/errors/service-error.js';

/** Who asks for a run, and with what. */
export interface JobCall extends Pick<RunStart, 'requestedBy' | 'delivery' | 'restart' | 'onlyKeys' | 'parentRunId' | 'trace' | 'isDryRun' | 'audit'> {
  readonly trigger: NonNullable<RunStart['trigger']>;
  readonly body: unknown;
  /** Who calls over HTTP; on the command line nobody does, since whoever is there has the database. */
  readonly caller?: Caller | undefined;
  /** The request that asks for it; a call from elsewhere gets one that holds just the body. */
  readonly request?: Request | undefined;
}

/**
 * THE ONE DOOR: every trigger starts a run here. The job is loaded, its body is checked against its RequestBody, and it is
 * run, all on the record: a job that cannot be loaded and a body that does not fit are failed runs too, so that a
 * scheduled one is seen. A run is dry when the body says so as it came, or as its RequestBody reads it.
 * @throws {ServiceError} 503 when the run could not be recorded, {Forbidden} 403 when the job is not for this caller; then nothing was run
 */
export async function runJob(job: Job, call: JobCall): Promise<FinishedRun | RunElsewhere> {
  const { request: _request, caller: _caller, ...start } = call;
  const { work, ...prepared } = await prepare(job, call);
  return recordRun(job.slug, work, { ...start, ...prepared });
}

type Prepared = Pick<RunStart, 'id' | 'kept' | 'isDryRun' | 'timeoutMs' | 'overlap' | 'countWrites' | 'lines'> & { readonly work: () => unknown };

/**
 * All that precedes the job's own code. What is wrong is thrown by the work, inside the run.
 * @throws {Forbidden} before anything is made of the body
 */
async function prepare(job: Job, call: JobCall): Promise<Prepared> {
  const { body, caller } = call;
  const scope = tryRunScope();
  const id = call.restart?.id ?? newRunId();
  // Looked for before the schema sees the body, which it may change.
  const wish = dryRunWishIn(body);
  const isDryRun = call.isDryRun === true || wish !== undefined;
  const loading = await tryLoad(job);
  if ('fault' in loading) {
    return { id, isDryRun, kept: await keepBody(body, 'unknown', scope?.scrubber), work: () => Promise.reject(loading.fault) };
  }
  const { RequestBody, handler, timeoutMs, config } = loading.job;
  if (caller && config.callers) requireNamed(config.callers, caller, job.slug);
  const { overlap, countWrites } = config;
  const kept = await keepBody(body, RequestBody ?? 'none', scope?.scrubber);
  const work = () => handler(call.request ?? requestWith(job.slug, body));
  const prepared = { id, isDryRun, kept, timeoutMs, overlap, countWrites };
  if (!RequestBody) return { ...prepared, work };

  const check = new BodyCheck({ id, jobName: job.slug, trace: call.trace, scrubber: kept.scrubber });
  const { lines } = check;
  try {
    const parsed = await check.parse(RequestBody, body);
    // What the schema made of personal data is personal too.
    const keptOf = kept.isRedacted ? await runInScope(check, () => withParsed(kept, parsed, RequestBody)) : kept;
    const parsedWish = dryRunWishIn(parsed);
    if (wish !== undefined && parsedWish === undefined && !knowsDryRun(RequestBody, wish)) throw dryRunNotKnown(wish, knowsDryRun(RequestBody));
    // The body goes in as it came: the job parses it itself, and a schema that transforms must not do so twice.
    return { ...prepared, kept: keptOf, isDryRun: isDryRun || parsedWish !== undefined, lines, work };
  } catch (error) {
    return { ...prepared, lines, work: () => Promise.reject(error) };
  }
}

async function tryLoad(job: Job): Promise<{ job: LoadedJob } | { fault: unknown }> {
  try {
    const loading = job.load();
    return { job: loading instanceof Promise ? await loading : loading };
  } catch (fault) {
    return { fault };
  }
}

/** The job would drop the field, take the run for a real one, and fail at its first write, or call others for real. */
const dryRunNotKnown = (field: string, knowsTheUsual: boolean): ServiceError =>
  new ServiceError(400, `The body asks for a dry run (${field}), and this job's RequestBody does not know that field, so nothing was run. `
    + (knowsTheUsual ? 'Did you mean isDryRun?' : `Without ${field} the job runs for real. To give it dry runs, add isDryRun: z.boolean().default(false) to its RequestBody.`));

/** As much of a request as a job may look at when there is none. */
function requestWith(slug: string, body: unknown): Request {
  const header = () => undefined;
  return { method: 'POST', path: `/jobs/${slug}`, params: { slug }, query: {}, headers: {}, body, get: header, header } as unknown as Request;
}
