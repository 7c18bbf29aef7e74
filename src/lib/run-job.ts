import type { Request } from 'express';
import type { ZodType } from 'zod';
import { recordRun, type FinishedRun, type RunElsewhere } from '../models/run-lifecycle.js';
import type { BodySchema } from '../models/run-body.js';
import type { RunStart } from '../models/run-start.js';
import type { JobConfig } from '../jobs/helpers.js';
import { Forbidden } from './auth/auth-error.js';
import { requireNamed } from './auth/require-named.js';
import type { Caller } from './auth/callers.js';
import { envConfig } from './env-config.js';
import type { Job } from './job-registry.js';
import { fieldError } from './problem.js';
import { ServiceError } from './service-error.js';

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
 * scheduled one is seen.
 * @throws {ServiceError} 503 when the run could not be recorded, {Forbidden} 403 when the job is not for this caller; then nothing was run
 */
export async function runJob(job: Job, call: JobCall): Promise<FinishedRun | RunElsewhere> {
  const { request: _request, caller: _caller, ...start } = call;
  const prepared = await prepare(job, call);
  return recordRun(job.slug, prepared.work, {
    ...start,
    isDryRun: call.isDryRun === true || isDryRun(prepared.body),
    timeoutMs: prepared.timeoutMs,
    overlap: prepared.overlap,
    countWrites: prepared.countWrites,
    bodySchema: prepared.bodySchema,
  });
}

interface Prepared {
  /** The body as the job will see it, as far as it could be read. */
  readonly body: unknown;
  readonly timeoutMs: number | undefined;
  readonly overlap: JobConfig['overlap'];
  readonly countWrites: JobConfig['countWrites'];
  readonly bodySchema: BodySchema;
  readonly work: () => unknown;
}

/**
 * All that precedes the job's own code. What is wrong is thrown by the work, inside the run.
 * @throws {Forbidden} before anything is made of the body
 */
async function prepare(job: Job, { body, request, caller }: JobCall): Promise<Prepared> {
  let timeoutMs: number | undefined;
  let overlap: JobConfig['overlap'];
  let countWrites: JobConfig['countWrites'];
  let bodySchema: BodySchema = 'unknown';
  try {
    const loading = job.load();
    const loaded = loading instanceof Promise ? await loading : loading;
    timeoutMs = loaded.timeoutMs;
    if (caller && loaded.config.callers) requireNamed(loaded.config.callers, caller, job.slug);
    ({ overlap, countWrites } = loaded.config);
    bodySchema = loaded.RequestBody ?? 'none';
    const checked = loaded.RequestBody ? await inTime(checkBody(loaded.RequestBody, body)) : body;
    // The body goes in as it came: the job parses it itself, and a schema that transforms must not do so twice.
    return { body: checked, timeoutMs, overlap, countWrites, bodySchema, work: () => loaded.handler(request ?? requestWith(job.slug, body)) };
  } catch (error) {
    if (error instanceof Forbidden) throw error;
    return { body, timeoutMs, overlap, countWrites, bodySchema, work: () => Promise.reject(error) };
  }
}

/** A schema may ask others (an async refinement), and wait for ever. @throws {ServiceError} 504 */
function inTime<T>(checking: Promise<T>): Promise<T> {
  const { jobLoadTimeout } = envConfig();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ServiceError(504, `The job's RequestBody did not check the body in ${jobLoadTimeout / 1_000} s.`)), jobLoadTimeout);
    checking.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The body as the job will see it, defaults filled in. @throws {ServiceError} 400 with every issue and its path */
async function checkBody(RequestBody: ZodType, body: unknown): Promise<unknown> {
  const result = await RequestBody.safeParseAsync(body);
  if (result.success) return result.data;
  throw new ServiceError(400, 'The body does not fit.', { errors: result.error.issues.map(fieldError) });
}

const isDryRun = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && (body as { isDryRun?: unknown }).isDryRun === true;

/** As much of a request as a job may look at when there is none. */
function requestWith(slug: string, body: unknown): Request {
  const header = () => undefined;
  return { method: 'POST', path: `/jobs/${slug}`, params: { slug }, query: {}, headers: {}, body, get: header, header } as unknown as Request;
}
