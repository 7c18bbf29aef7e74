import { randomUUID } from 'node:crypto';
import { access, link, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../lib/process/package-root.js';
import { type Destination, publishObject } from './publish-object.js';
import { type ObjectStorage, checkObjectName, ObjectExistsError, type PublishedObject, type PublishOptions } from './storage-contract.js';

/** What is being written has such a name until it is whole; no object's name starts with a dot. A killed process leaves it. */
const TEMPORARY = '.publishing-';

/** Objects as files of one folder. They and the folders they need are made for this user alone: they may hold patients' data. */
export class FileStorage implements ObjectStorage {
  readonly #folder: string;

  /** @param folder counts from the package's root, unless it is absolute */
  constructor(folder: string) {
    this.#folder = path.resolve(packageRoot(), folder);
  }

  publish(name: string, content: AsyncIterable<Uint8Array | string>, options: PublishOptions): Promise<PublishedObject> {
    return publishObject(name, content, options, (checked) => this.#destination(checked));
  }

  async exists(name: string): Promise<boolean> {
    checkObjectName(name);
    return isThere(path.join(this.#folder, name));
  }

  #destination(name: string): Destination {
    const file = path.join(this.#folder, name);
    return {
      url: pathToFileURL(file).href,
      exists: () => isThere(file),
      write: ({ overwrite }, pour) => writeWhole(file, overwrite ?? false, pour),
    };
  }
}

/** By way of a file of another name, so that `file` is never there in part, whenever the process is killed. */
async function writeWhole(file: string, overwrite: boolean, pour: (into: Writable) => Promise<void>): Promise<void> {
  const folder = path.dirname(file);
  const temporary = path.join(folder, TEMPORARY + randomUUID());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await pour(new Writable({ write: (chunk: Buffer, _encoding, done) => void handle.writeFile(chunk).then(() => done(), done) }));
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (overwrite) await rename(temporary, file);
    else await linkNew(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
  await syncFolder(folder);
}

/** Unlike rename, link never replaces what is there. */
async function linkNew(temporary: string, file: string): Promise<void> {
  await link(temporary, file).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EEXIST' ? new ObjectExistsError(pathToFileURL(file).href) : error;
  });
}

/** The name itself is on disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

const isThere = async (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
      throw error;
    },
  );
