import { openObjectStorage, type PublishedObject } from '@commons/backend/apis/object-storage/object-storage.js';

export interface Results {
  /** The object's name, such as 'rosters/2026-11-24.csv'. */
  name: string;
  /** Text is UTF-8. What is large should be an async iterable: it is streamed. */
  content: string | Uint8Array | AsyncIterable<Uint8Array | string>;
  /** Such as 'text/csv; charset=utf-8'. */
  contentType: string;
  /** Replaces an object of that name. Default: false, it is refused. */
  overwrite?: boolean;
  /** As a dry run does, also outside a run that is one. */
  isDryRun?: boolean;
}

const CALL = "uploadResultsToGCS({ name: 'rosters/today.csv', content, contentType: 'text/csv; charset=utf-8' })";

/**
 * Publishes results to the configured object storage (OBJECT_STORAGE: gs://bucket/prefix, or a local folder), whole or not
 * at all. A dry run reads and measures the content, logs what it would publish, and writes nothing.
 * @throws {ObjectExistsError} when there is an object of that name, unless `overwrite`; {TypeError} when it is called otherwise
 */
export async function uploadResultsToGCS(results: Results): Promise<PublishedObject> {
  // Job files are not always checked by TypeScript.
  const { name, content, contentType, ...options } = (results ?? {}) as Partial<Results>;
  const missing = [typeof name === 'string' ? [] : ['name'], isContent(content) ? [] : ['content'], typeof contentType === 'string' ? [] : ['contentType']].flat();
  if (missing.length > 0) throw new TypeError(`uploadResultsToGCS takes one object, in which ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing: ${CALL}`);
  const parts = typeof content === 'string' || content instanceof Uint8Array ? once(content) : content;
  return openObjectStorage().publish(name!, parts!, { contentType: contentType!, ...options });
}

const isContent = (content: unknown): content is Results['content'] =>
  typeof content === 'string' || content instanceof Uint8Array || typeof (content as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] === 'function';

async function* once(content: string | Uint8Array): AsyncGenerator<string | Uint8Array> {
  yield content;
}
