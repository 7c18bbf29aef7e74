import { StatusError } from '../../jobs/helpers.js';
import { envConfig } from '../../lib/env-config.js';
import { FileStorage } from './file-storage.js';
import { GcsStorage } from './gcs-storage.js';
import { type ObjectStorage } from './storage-contract.js';

export { type ObjectStorage, ObjectExistsError, type PublishedObject, type PublishOptions } from './storage-contract.js';

/**
 * The storage at `address`: `gs://bucket/prefix` is Google Cloud Storage, `file:<folder>` a folder, which counts from the
 * package's root unless it is absolute. Nothing is opened yet. Default: OBJECT_STORAGE.
 * @throws {StatusError} 400 for any other address
 */
export function openObjectStorage(address: string = envConfig().objectStorage): ObjectStorage {
  const [, bucket, prefix = ''] = /^gs:\/\/([a-z\d][a-z\d._-]{1,220}[a-z\d])(?:\/(.*))?$/.exec(address) ?? [];
  if (bucket !== undefined) return new GcsStorage(bucket, prefix.replace(/\/+$/, ''));
  const [, folder] = /^file:(?!\/\/)(.+)$/.exec(address) ?? [];
  if (folder !== undefined) return new FileStorage(folder);
  throw new StatusError(400, 'An object storage is gs://bucket/prefix or file:<folder>');
}
