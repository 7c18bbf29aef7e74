import { prepareRequest, type RequestOptions, sendRequest } from './http-client/http-request.js';

export { DryRunRequest, FetchError } from './http-client/fetch-error.js';

/**
 * The body of another system's 2xx answer, as it comes in: nothing is sent before the first bytes are asked for, no more is
 * read than is asked for, and leaving off early closes the connection. `timeout` is for the head of the answer, and for each
 * wait for more. What is tried again is the request up to its head (see sendRequest); a body that breaks off is an error.
 * @throws {FetchError} with the `status`, when there was an answer
 * @throws {DryRunRequest} in a dry run, for any method but GET and HEAD
 */
export async function* fetchStream(url: string | URL, options: RequestOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const answer = await sendRequest(prepareRequest(url, options), options, async (attempt) => attempt);
  yield* answer.body();
}
