import { StatusError } from '../../jobs/helpers.js';

export interface PublishOptions {
  /** Such as 'text/csv; charset=utf-8'. */
  contentType: string;
  /** Replaces an object of that name, as a whole. Default: false, it is refused. */
  overwrite?: boolean | undefined;
  /** Reads and measures the content, and writes nothing. Default: the run's own; a run that is a dry run stays one. */
  isDryRun?: boolean | undefined;
}

export interface PublishedObject {
  /** gs:// or file:// */
  readonly url: string;
  readonly bytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
  /** Nothing was written. */
  readonly isDryRun: boolean;
}

/** Where results go that are handed on: whole objects by name. */
export interface ObjectStorage {
  /**
   * Streams `content` into an object that appears only when it is whole: when the content throws, the run is stopped, or the
   * process dies, there is none, and an older one stays. In a dry run the content is read, counted and hashed all the same;
   * what would be published is logged, and nothing is written.
   * @param name such as 'rosters/2026-11-24.csv': no empty part, none that starts with a dot, no control character
   * @throws {ObjectExistsError} before anything is read, or, where another was quicker, at the end
   * @throws {StatusError} 400 for a name that cannot be one
   */
  publish(name: string, content: AsyncIterable<Uint8Array | string>, options: PublishOptions): Promise<PublishedObject>;
  exists(name: string): Promise<boolean>;
}

/** There is an object of that name, and it was not to be overwritten. Its caller gets 409. */
export class ObjectExistsError extends StatusError {
  override readonly name = 'ObjectExistsError';

  constructor(name: string) {
    super(409, `The object ${name} exists already. Choose another name, or say that it may be overwritten.`);
  }
}

/** The most bytes of an object's name in UTF-8 (https://cloud.google.com/storage/docs/objects#naming). */
const MOST_NAME_BYTES = 1_024;

/** @throws {StatusError} 400 for a name that could leave the storage's folder, or that some storage cannot hold */
export function checkObjectName(name: string): void {
  const isGood = name.split('/').every((part) => /^(?!\.)[^\\\p{Cc}\p{Cs}]+$/u.test(part));
  if (!isGood || Buffer.byteLength(name) > MOST_NAME_BYTES) {
    throw new StatusError(400, "An object's name is parts joined by slashes; none is empty, starts with a dot, or has a control character or a backslash in it");
  }
}
