import type { Bucket } from '@google-cloud/storage';
import { type Destination, publishObject } from './publish-object.js';
import { type ObjectStorage, checkObjectName, ObjectExistsError, type PublishedObject, type PublishOptions } from './storage-contract.js';

/**
 * Bytes that one request carries, and that are kept in memory to be sent again when it fails: a multiple of 256 KiB, 8 MiB or
 * more by https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload.
 */
const CHUNK = 8_388_608;

/**
 * Objects of a Google Cloud Storage bucket, as the credentials at hand may write them
 * (https://cloud.google.com/docs/authentication/application-default-credentials). STORAGE_EMULATOR_HOST is heeded.
 *
 * The length of what is streamed is not known beforehand and a stream cannot be read twice, so every upload is a resumable
 * one: the client sends a chunk again when it gets 408, 429, a 5xx or no answer. The object comes to be with the last chunk.
 * An upload that fails is cancelled; that of a process that is killed is forgotten by Google after a week.
 */
export class GcsStorage implements ObjectStorage {
  readonly #bucketName: string;
  readonly #prefix: string;
  #bucket: Promise<Bucket> | undefined;

  constructor(bucketName: string, prefix: string) {
    this.#bucketName = bucketName;
    this.#prefix = prefix && `${prefix}/`;
  }

  publish(name: string, content: AsyncIterable<Uint8Array | string>, options: PublishOptions): Promise<PublishedObject> {
    return publishObject(name, content, options, (checked) => this.#destination(checked));
  }

  async exists(name: string): Promise<boolean> {
    checkObjectName(name);
    return this.#destination(name).exists();
  }

  #destination(name: string): Destination {
    const url = `gs://${this.#bucketName}/${this.#prefix}${name}`;
    const fileOf = async () => (await this.#open()).file(this.#prefix + name);
    return {
      url,
      exists: async () => (await (await fileOf()).exists())[0],
      write: async ({ contentType, overwrite }, pour) => {
        const file = await fileOf();
        const upload = file.createWriteStream({
          contentType,
          resumable: true,
          chunkSize: CHUNK,
          // No generation of it may be there: https://cloud.google.com/storage/docs/request-preconditions
          ...(overwrite ? {} : { preconditionOpts: { ifGenerationMatch: 0 } }),
        });
        let session: string | undefined;
        upload.on('uri', (uri: string) => (session = uri));
        await pour(upload).catch(async (error: { code?: unknown; status?: unknown }) => {
          if (session !== undefined) await cancelSession(session);
          throw !overwrite && [error.code, error.status].map(Number).includes(412) ? new ObjectExistsError(url) : error;
        });
      },
    };
  }

  /** The client is large, and most runs need none. */
  #open(): Promise<Bucket> {
    return (this.#bucket ??= import('@google-cloud/storage').then(({ Storage }) => new Storage().bucket(this.#bucketName)));
  }
}

/**
 * Google's client goes on repeating the request that its stream was destroyed amid. A cancelled session takes no more
 * (https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload); its address is all the right one needs.
 */
async function cancelSession(session: string): Promise<void> {
  await fetch(session, { method: 'DELETE', signal: AbortSignal.timeout(CANCEL_TIMEOUT) }).catch(() => undefined);
}

/** ms. Without it the session is merely forgotten later. */
const CANCEL_TIMEOUT = 5_000;
