import { createReadStream } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import { StatusError } from '../jobs/helpers.js';
import { checkedFetch } from './http-client/checked-fetch.js';
import { FetchError, fetchStream } from './fetch-stream.js';
import { permittedFile, requirePermittedHost } from './http-client/permitted-source.js';

/** Whether `text` names a source that openSource can look for: an http(s) address without a password in it, or a path. */
export function isSource(text: string): boolean {
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(text)) return text !== '';
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/** `source` as it may be shown and logged: an address loses its query, which may carry a signature. */
export function nameOfSource(source: string): string {
  if (!isUrl(source)) return source;
  const { origin, pathname } = new URL(source);
  return origin + pathname;
}

/**
 * The bytes of an http(s) address or of a file, as they come in. A path that is not absolute counts from the package's
 * root, not from the working directory. Nothing is opened before the first bytes are asked for, and leaving off early
 * closes what was opened. An address is asked again, and left when it falls silent, as fetchStream says.
 * @throws {StatusError} 400 when there is no such regular file, or the source is none that a caller may name
 * (permitted-source.ts); 502 when the address gives no answer, another than a 2xx, or breaks off; and whatever `signal` was
 * aborted with
 */
export const openSource = (source: string, signal?: AbortSignal): AsyncIterable<Uint8Array> =>
  isUrl(source) ? download(source, signal) : readFile(source, signal);

const isUrl = (source: string): boolean => /^https?:\/\//i.test(source);

async function* download(url: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const checkAddress = requirePermittedHost(url);
  try {
    yield* fetchStream(url, { fetch: checkedFetch(checkAddress), ...(signal && { signal }) });
  } catch (error) {
    throw error instanceof FetchError ? new StatusError(502, `${nameOfSource(url)} ${error.what}`, { cause: error }) : error;
  }
}

async function* readFile(source: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const file = await permittedFile(source);
  const noFile = (cause: unknown): never => {
    throw new StatusError(400, `There is no file ${source} that can be read`, { cause });
  };
  // A folder, a device or a pipe would fail late, never end, or never begin.
  if (!(await stat(file).catch(noFile)).isFile()) throw new StatusError(400, `${source} is no regular file`);
  await access(file, constants.R_OK).catch(noFile);
  yield* createReadStream(file, { signal });
}
