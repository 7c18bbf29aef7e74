import type { ZodType } from 'zod';
import { FetchError } from './http-client/fetch-error.js';
import { isRefusedInDryRun, prepareRequest, type RequestOptions, sendRequest } from './http-client/http-request.js';
import type { PreparedRequest } from './http-client/http-attempt.js';
import logger from './logging.js';

export { DryRunRequest, FetchError } from './http-client/fetch-error.js';

export interface FetchJsonOptions<T> extends RequestOptions {
  /** What the answer must be; what it gives is returned. A failure names the paths, and no values. */
  schema?: ZodType<T>;
  /** In a dry run, returned in place of sending a request that may change something. */
  dryRunAnswer?: T;
}

const DEFAULT_MAX_BYTES = 10_485_760;
const MOST_ISSUES = 10;

/**
 * Asks another system, and resolves with the JSON of its 2xx answer; with undefined where that has no body. `timeout` covers
 * an attempt as a whole, and at most 10 MB are read unless `maxBytes` says otherwise. See sendRequest for what is tried
 * again. Redirects are followed within the same host alone.
 *
 * In a dry run GET and HEAD are sent. Any other request is logged (method, host and path) and `dryRunAnswer` is returned.
 * @throws {FetchError} with the `status`, when there was an answer
 * @throws {DryRunRequest} in a dry run, for any method but GET and HEAD, when there is no dryRunAnswer
 */
export async function fetchJson<T = unknown>(url: string | URL, options: FetchJsonOptions<T> = {}): Promise<T> {
  const request = prepareRequest(url, options);
  if (isRefusedInDryRun(request) && 'dryRunAnswer' in options) {
    logger.log(`Dry run: would send ${request.name}`, 'fetch');
    return options.dryRunAnswer as T;
  }
  if (!request.headers.has('Accept')) request.headers.set('Accept', 'application/json');
  const answer = await sendRequest(request, { maxBytes: DEFAULT_MAX_BYTES, ...options }, async (attempt) => {
    const chunks = [];
    for await (const chunk of attempt.body({ isTimedAsOne: true })) chunks.push(chunk);
    return parse(Buffer.concat(chunks).toString('utf8'), request);
  });
  return options.schema ? checked(answer, options.schema, request) : (answer as T);
}

function parse(text: string, request: PreparedRequest): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // The error is no cause: it quotes the text.
    throw new FetchError(request.name, 'answered with what is no JSON');
  }
}

function checked<T>(answer: unknown, schema: ZodType<T>, request: PreparedRequest): T {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  const { issues } = result.error;
  const texts = issues.slice(0, MOST_ISSUES).map(({ path, code }) => `${path.map(String).join('.') || '(top)'} (${code})`);
  const more = issues.length > MOST_ISSUES ? ` and ${issues.length - MOST_ISSUES} more` : '';
  throw new FetchError(request.name, `answered with what does not fit: ${texts.join(', ')}${more}`);
}
