import type { Request } from 'express';
import type { ZodType } from 'zod';
import { requireNamed } from '../lib/auth/require-named.js';
import { ServiceError } from '../lib/errors/service-error.js';
import type { LoadedJob } from '../lib/job-files/module.js';
import type { Job } from '../lib/job-files/registry.js';
import { runInScope, tryRunScope } from '../lib/run-scope.js';
import { BodyCheck } from './body-check.js';
import { dryRunWishIn } from './dry-run-wish.js';
import type { Work } from './execute.js';
import type { JobCall } from './job-call.js';
import { type KeptBody, keepBody, withParsed } from './kept-body.js';
import { knowsDryRun } from './knows-dry-run.js';
import { newRunId } from './records/run-id.js';
import type { RunStart } from './run-start.js';

/** A run that can be claimed, and what is to be executed then. */
export interface PreparedRun {
  readonly start: RunStart;
  readonly work: Work;
}

/**
 * Prepare: all that precedes the job's own code. The job is loaded and its body checked; what is wrong there is the run's own fault,
 * and so on record.
 * @throws {Forbidden} 403 when the job is not for this caller, before anything is made of the body
 */
export async function prepareRun(job: Job, { request, ...call }: JobCall): Promise<PreparedRun> {
  const { body, by } = call;
  // Looked for before the schema sees the body, which it may change.
  const wish = dryRunWishIn(body);
  const asked = { ...call, id: call.restart?.id ?? newRunId(), isDryRun: call.isDryRun === true || wish !== undefined };
  const outer = tryRunScope()?.scrubber;
  const loading = await tryLoad(job);
  if ('fault' in loading) return { start: { ...asked, kept: await keepBody(body, 'unknown', outer) }, work: loading };

  const { RequestBody, handler, handled, timeoutMs, config } = loading.job;
  const { callers, overlap, countWrites } = config;
  if (by?.caller && callers) requireNamed(callers, by.caller, job.slug);
  const kept = await keepBody(body, RequestBody ?? 'none', outer);
  const start = { ...asked, kept, timeoutMs, overlap, countWrites };
  // The body goes in as it came: a job without handle() parses it itself, and a schema that transforms must not do so twice.
  const work: Work = { perform: () => handler(request ?? requestWith(job.slug, body)) };
  if (!RequestBody) return { start, work };
  const checked = await checkBody(job, start, kept, RequestBody, wish);
  if ('fault' in checked) return { start: { ...start, lines: checked.lines }, work: { fault: checked.fault } };
  const { parsed, ...found } = checked;
  return { start: { ...start, ...found }, work: handled ? { perform: () => handled.perform(parsed) } : work };
}

async function tryLoad(job: Job): Promise<{ readonly job: LoadedJob } | { readonly fault: unknown }> {
  try {
    const loading = job.load();
    return { job: loading instanceof Promise ? await loading : loading };
  } catch (fault) {
    return { fault };
  }
}

type Checked = (Pick<RunStart, 'kept' | 'isDryRun' | 'lines'> & { readonly parsed: unknown }) | { readonly fault: unknown; readonly lines: RunStart['lines'] };

/** @param wish the field by which the body, as it came, asks for a dry run */
async function checkBody(job: Job, { id, body, trace, isDryRun }: RunStart & { readonly id: string }, kept: KeptBody, RequestBody: ZodType, wish: string | undefined): Promise<Checked> {
  const check = new BodyCheck({ id, jobName: job.slug, trace, scrubber: kept.scrubber });
  const { lines } = check;
  try {
    const parsed = await check.parse(RequestBody, body);
    const parsedWish = dryRunWishIn(parsed);
    // What the schema made of personal data is personal too.
    const keptOf = kept.isRedacted ? await runInScope(check, () => withParsed(kept, parsed, RequestBody)) : kept;
    if (wish !== undefined && parsedWish === undefined && !knowsDryRun(RequestBody, wish)) throw dryRunNotKnown(wish, knowsDryRun(RequestBody));
    return { kept: keptOf, isDryRun: isDryRun || parsedWish !== undefined, lines, parsed };
  } catch (fault) {
    return { fault, lines };
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
