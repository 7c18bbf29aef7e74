import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream';
import { crc32, createGunzip } from 'node:zlib';
import yauzl from 'yauzl';
import { StatusError } from '../jobs/helpers.js';

/** Bytes of a ZIP file that are put on disk at most. */
const MOST_ZIP_BYTES = 268_435_456;

const GZIP = Buffer.from([0x1f, 0x8b]); // RFC 1952, 2.3.1
const ZIP = Buffer.from('PK\x03\x04'); // APPNOTE.TXT, 4.3.7

/**
 * What is packed in `bytes`, which their first ones tell and not a name: the content of gzip, that of the first .txt of a
 * ZIP file that is no readme, or else the bytes as they are. Leaving off early leaves off reading `bytes`.
 * @throws {StatusError} 422 when what is packed is damaged, cut off, or holds no such .txt
 */
export async function* decompress(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = bytes[Symbol.asyncIterator]();
  try {
    const head = await readHead(source, ZIP.length);
    const whole = chain(head, source);
    if (head.subarray(0, GZIP.length).equals(GZIP)) yield* gunzip(whole);
    else if (head.subarray(0, ZIP.length).equals(ZIP)) yield* unzip(whole);
    else yield* whole;
  } finally {
    await source.return?.();
  }
}

/** `length` bytes or, where one read gives more, more; fewer only if there are no more. */
async function readHead(source: AsyncIterator<Uint8Array>, length: number): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < length) {
    const { done, value } = await source.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function* chain(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

const damaged = (cause: unknown): never => {
  throw new StatusError(422, 'The source is damaged, or was cut off', { cause });
};

async function* gunzip(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    // Whatever fails on the way, and leaving off early, is passed on in both directions; the callback has nothing to add.
    yield* pipeline(bytes, createGunzip(), () => undefined);
  } catch (error) {
    if (!(error as NodeJS.ErrnoException).code?.startsWith('Z_')) throw error;
    damaged(error);
  }
}

/**
 * By way of a file on disk: what a ZIP file holds stands at its end, and the headers in its midst, which is all that can be
 * seen while it streams, are "not to be trusted" (https://github.com/thejoshwolfe/yauzl#no-streaming-unzip-api).
 */
async function* unzip(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const zip = await openZip(bytes);
  try {
    const entry = await firstText(zip).catch(damaged);
    if (!entry) throw new StatusError(422, 'The ZIP file holds no .txt but readmes');
    yield* checked(await zip.openReadStreamPromise(entry).catch(damaged), entry);
  } finally {
    zip.close();
  }
}

async function openZip(bytes: AsyncIterable<Uint8Array>): Promise<yauzl.ZipFile> {
  const folder = await mkdtemp(path.join(tmpdir(), 'commons-zip-'));
  try {
    const file = path.join(folder, 'source.zip');
    await writeFile(file, atMost(MOST_ZIP_BYTES, bytes));
    return await yauzl.openPromise(file, { autoClose: false }).catch(damaged);
  } finally {
    // Open, it needs no name any more, and without one it is gone as soon as it is closed or this process ends.
    await rm(folder, { recursive: true });
  }
}

async function* atMost(limit: number, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > limit) throw new StatusError(422, `The ZIP file is larger than ${limit / 1_048_576} MB`);
    yield chunk;
  }
}

async function firstText(zip: yauzl.ZipFile): Promise<yauzl.Entry | undefined> {
  for await (const entry of zip.eachEntry()) {
    if (isText(entry.fileName)) return entry;
  }
  return undefined;
}

/** By its name, which is of whoever made the file: so each part of it is looked at once. */
function isText(fileName: string): boolean {
  const name = fileName.slice(fileName.lastIndexOf('/') + 1).toLowerCase();
  return name.endsWith('.txt') && !name.includes('readme');
}

/** yauzl compares the size, and leaves the checksum to its callers. */
async function* checked(content: AsyncIterable<Uint8Array>, entry: yauzl.Entry): AsyncGenerator<Uint8Array> {
  let checksum = 0;
  try {
    for await (const chunk of content) {
      checksum = crc32(chunk, checksum);
      yield chunk;
    }
  } catch (error) {
    damaged(error);
  }
  if (checksum !== entry.crc32) damaged(new Error(`the CRC-32 of ${entry.fileName} does not fit`));
}
