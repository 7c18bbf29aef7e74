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

/**
 * Publishes results to the configured object storage (OBJECT_STORAGE: gs://bucket/prefix, or a local folder), whole or not
 * at all. A dry run reads and measures the content, logs what it would publish, and writes nothing.
 * @throws {ObjectExistsError} when there is an object of that name, unless `overwrite`
 */
export const uploadResultsToGCS = ({ name, content, ...options }: Results): Promise<PublishedObject> =>
  openObjectStorage().publish(name, typeof content === 'string' || content instanceof Uint8Array ? once(content) : content, options);

async function* once(content: string | Uint8Array): AsyncGenerator<string | Uint8Array> {
  yield content;
}
