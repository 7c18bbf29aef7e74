import type { ZodType, output } from 'zod';
import type { JSONData, ScriptHandler } from '../jobs/helpers.js';
import { fieldErrors } from './errors/problem.js';
import { ServiceError } from './errors/service-error.js';
import { keepHandled } from './job-files/handled.js';
import { type CurrentRun, tryCurrentRun } from './run-scope.js';

/** Outside any run, as in a spec: nobody stops the job, and whatever else it asks of its run is not there. */
const NO_RUN = new Proxy({} as CurrentRun, {
  get(_target, name) {
    if (name === 'signal') return new AbortController().signal;
    throw new Error(`the job asked its run for ${String(name)}, and there is none: in a spec, call it inside inRun() of __tests__/helpers/test-scope.js, or by BatchJobRun.trap`);
  },
});

/**
 * A ScriptHandler whose work gets the body as `RequestBody` makes it: typed, checked, and with its defaults filled in. In the service the
 * body is parsed once, and one that does not fit is answered before the work begins. Called by itself, as in a spec, it parses the body.
 *
 * ```ts
 * export const RequestBody = z.object({ limit: z.number().default(100) });
 * export default handle(RequestBody, async ({ limit }, run) => {...});
 * ```
 *
 * @param work gets the parsed body and the run it belongs to; what it resolves to is the answer's JSON
 * @throws {TypeError} when it is called otherwise; the handler throws a ServiceError 400, called by itself with a body that does not fit
 */
export function handle<Schema extends ZodType>(RequestBody: Schema, work: (body: output<Schema>, run: CurrentRun) => Promise<JSONData | undefined | void>): ScriptHandler {
  // Job files are not always checked by TypeScript.
  if (typeof (RequestBody as Partial<ZodType> | undefined)?.safeParseAsync !== 'function' || typeof work !== 'function') {
    throw new TypeError('handle takes a Zod schema, then the work: handle(RequestBody, async (body, run) => {...})');
  }
  const perform = (body: unknown) => work(body as output<Schema>, tryCurrentRun() ?? NO_RUN);
  const handler: ScriptHandler = async (req) => {
    const result = await RequestBody.safeParseAsync(req.body);
    if (!result.success) throw new ServiceError(400, 'The body does not fit.', { errors: fieldErrors(result.error.issues.slice(0, MOST_ISSUES)) });
    return perform(result.data);
  };
  keepHandled(handler, { RequestBody, perform });
  return handler;
}

const MOST_ISSUES = 100;
