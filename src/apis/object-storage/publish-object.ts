import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import logger from '../../lib/logging.js';
import { tryCurrentRun } from '../../lib/run-scope.js';
import { itemsUntilStopped } from '../../lib/process/until-stopped.js';
import { ContentMeter } from './content-meter.js';
import { checkObjectName, ObjectExistsError, type PublishedObject, type PublishOptions } from './storage-contract.js';

const TAG = 'object-storage';

/** One object of one storage. */
export interface Destination {
  /** gs:// or file:// */
  readonly url: string;
  exists(): Promise<boolean>;
  /**
   * Calls `pour` with what the object's bytes go into, and makes them the object once it has resolved. When it rejects,
   * nothing must be left of them.
   * @throws {ObjectExistsError} when there is an object by now, unless `overwrite`
   */
  write(options: PublishOptions, pour: (into: Writable) => Promise<void>): Promise<void>;
}

/** What publishing is to every storage, around the writing itself. See ObjectStorage.publish. */
export async function publishObject(
  name: string,
  content: AsyncIterable<Uint8Array | string>,
  options: PublishOptions,
  destinationOf: (name: string) => Destination,
): Promise<PublishedObject> {
  checkObjectName(name);
  const destination = destinationOf(name);
  const { url } = destination;
  const { signal, isDryRun: isDryRunOfRun = false } = tryCurrentRun() ?? {};
  const isDryRun = isDryRunOfRun || options.isDryRun === true;
  const meter = new ContentMeter();
  const pour = async (into: Writable): Promise<void> => {
    await pipeline(itemsUntilStopped(meter.measure(content), signal), into, { signal });
  };
  try {
    signal?.throwIfAborted();
    if (!options.overwrite && (await destination.exists())) throw new ObjectExistsError(url);
    await (isDryRun ? pour(nowhere()) : destination.write(options, pour));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  const published = { url, ...meter.total(), isDryRun };
  logger.log(`${isDryRun ? 'Dry run: would publish' : 'Published'} ${url}`, TAG, { bytes: published.bytes, contentType: options.contentType });
  return published;
}

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });
