import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ObjectExistsError, openObjectStorage, type ObjectStorage } from '@commons/backend/apis/object-storage/object-storage.js';
import { uploadResultsToGCS } from '@commons/backend/jobs/shared/helpers.js';
import * as envConfig from '@commons/backend/lib/env-config.js';
import logger from '@commons/backend/lib/logging.js';
import { packageRoot } from '@commons/backend/lib/process/package-root.js';
import { buildRoot, builtScript } from '../../helpers/built-program.js';
import { inDryRun, TestRun } from '../../helpers/test-scope.js';
import { waitUntil } from '../../helpers/wait-until.js';

jest.mock('@commons/backend/lib/logging.js');

const CSV = { contentType: 'text/csv; charset=utf-8' };

let folder: string;
let storage: ObjectStorage;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'object-storage-'));
  storage = openObjectStorage(`file:${folder}`);
  jest.mocked(logger.log).mockClear();
});
afterEach(() => rm(folder, { recursive: true }));

async function* pieces<T>(...given: T[]): AsyncGenerator<T> {
  yield* given;
}

const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');
const inFolder = async () => (await readdir(folder, { recursive: true })).toSorted();
const textOf = (name: string) => readFile(path.join(folder, name), 'utf8');

describe('a published file', () => {
  it('holds the content, and its address, size and hash are given', async () => {
    const published = await storage.publish('rosters/2026/roster.csv', pieces<string | Uint8Array>('id,name\n', Buffer.from('1,Zoë\n')), CSV);
    const text = 'id,name\n1,Zoë\n';
    expect(published).toEqual({ url: `file://${folder}/rosters/2026/roster.csv`, bytes: Buffer.byteLength(text), sha256: sha256(text), isDryRun: false });
    await expect(readFile(fileURLToPath(published.url), 'utf8')).resolves.toBe(text);
    expect(logger.log).toHaveBeenCalledWith(`Published ${published.url}`, 'object-storage', { bytes: 15, contentType: CSV.contentType });
    await expect(storage.exists('rosters/2026/roster.csv')).resolves.toBe(true);
    expect(await inFolder()).toEqual(['rosters', 'rosters/2026', 'rosters/2026/roster.csv']);
  });

  it('may be empty', async () => {
    await expect(storage.publish('empty', pieces(), CSV)).resolves.toMatchObject({ bytes: 0, sha256: sha256('') });
    await expect(textOf('empty')).resolves.toBe('');
  });

  it('can be read by its owner alone', async () => {
    await storage.publish('rosters/roster.csv', pieces('x'), CSV);
    expect((await stat(path.join(folder, 'rosters/roster.csv'))).mode & 0o777).toBe(0o600);
    expect((await stat(path.join(folder, 'rosters'))).mode & 0o777).toBe(0o700);
  });

  it('is the same however its content was cut up', async () => {
    const text = 'Ærø 👩‍⚕️ '.repeat(20_000);
    for (const size of [1, 3, 65_536, text.length]) {
      async function* cutUp() {
        for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
      }
      await expect(storage.publish(`cut-${size}`, cutUp(), CSV)).resolves.toMatchObject({ bytes: Buffer.byteLength(text), sha256: sha256(text) });
    }
    await expect(textOf('cut-3')).resolves.toBe(text);
  });

  it('takes no more memory than a small one', async () => {
    async function* large() {
      const row = `${'x'.repeat(1_023)}\n`;
      for (let at = 0; at < 200_000; at++) yield row;
    }
    const before = process.memoryUsage().rss;
    await expect(storage.publish('large.csv', large(), CSV)).resolves.toMatchObject({ bytes: 204_800_000 });
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000);
  });
});

describe('an object that is there already', () => {
  beforeEach(() => storage.publish('roster.csv', pieces('old'), CSV));

  it('is refused before anything is read, with 409', async () => {
    const content = { [Symbol.asyncIterator]: jest.fn() };
    const publishing = storage.publish('roster.csv', content, CSV);
    await expect(publishing).rejects.toBeInstanceOf(ObjectExistsError);
    await expect(publishing).rejects.toMatchObject({ status: 409, message: expect.stringContaining(`file://${folder}/roster.csv exists already`) });
    expect(content[Symbol.asyncIterator]).not.toHaveBeenCalled();
    await expect(textOf('roster.csv')).resolves.toBe('old');
  });

  it('is replaced as a whole where that is wanted', async () => {
    async function* seen() {
      yield 'new';
      expect(await textOf('roster.csv')).toBe('old');
    }
    await storage.publish('roster.csv', seen(), { ...CSV, overwrite: true });
    await expect(textOf('roster.csv')).resolves.toBe('new');
    expect(await inFolder()).toEqual(['roster.csv']);
  });

  it('stays when what was to replace it fails', async () => {
    async function* failing() {
      yield 'new';
      throw new Error('the query broke off');
    }
    await expect(storage.publish('roster.csv', failing(), { ...CSV, overwrite: true })).rejects.toThrow('the query broke off');
    await expect(textOf('roster.csv')).resolves.toBe('old');
    expect(await inFolder()).toEqual(['roster.csv']);
  });

  it('wins over one that began earlier and ends later', async () => {
    async function* slow() {
      yield 'mine';
      await storage.publish('other.csv', pieces('theirs'), CSV);
    }
    await expect(storage.publish('other.csv', slow(), CSV)).rejects.toBeInstanceOf(ObjectExistsError);
    await expect(textOf('other.csv')).resolves.toBe('theirs');
    expect(await inFolder()).toEqual(['other.csv', 'roster.csv']);
  });

  it('is one of many at once: a single one comes through', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, at) => storage.publish('race.csv', pieces(`${at}`), CSV)));
    const won = outcomes.flatMap(({ status }, at) => (status === 'fulfilled' ? [String(at)] : []));
    expect(won).toEqual([await textOf('race.csv')]);
  });
});

describe('an object that does not become whole', () => {
  it('is not there when its content fails', async () => {
    async function* failing() {
      yield 'half';
      throw new Error('the query broke off');
    }
    await expect(storage.publish('roster.csv', failing(), CSV)).rejects.toThrow('the query broke off');
    expect(await inFolder()).toEqual([]);
  });

  it('is not there when the run is to stop, even while the content keeps it waiting', async () => {
    const run = new TestRun();
    async function* endless() {
      yield Buffer.alloc(100_000);
      run.controller.abort(new Error('the run is cancelled'));
      await new Promise(() => undefined);
    }
    await expect(run.do(() => storage.publish('roster.csv', endless(), CSV))).rejects.toThrow('the run is cancelled');
    expect(await inFolder()).toEqual([]);
  });

  it('is not there when the process is killed; only a file that no object is called', async () => {
    const script = `
      const { openObjectStorage } = await import('@commons/backend/apis/object-storage/object-storage.js');
      async function* endless() { for (;;) { yield Buffer.alloc(100_000); await new Promise((resolve) => setTimeout(resolve, 5)); } }
      await openObjectStorage(${JSON.stringify(`file:${folder}`)}).publish('roster.csv', endless(), { contentType: 'text/csv' });`;
    const child = spawn(process.execPath, builtScript(script), { cwd: buildRoot(), stdio: 'inherit' });
    const temporary = await waitUntil('it writes', async () => {
      const [name] = await inFolder();
      return name !== undefined && (await stat(path.join(folder, name))).size > 0 ? name : undefined;
    });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.on('exit', resolve));
    expect(temporary).toMatch(/^\.publishing-/);
    expect(await inFolder()).toEqual([temporary]);
    await expect(storage.publish('roster.csv', pieces('whole'), CSV)).resolves.toMatchObject({ bytes: 5 });
    await expect(storage.exists(temporary)).rejects.toMatchObject({ status: 400 });
  }, 60_000);
});

describe('in a dry run', () => {
  it('the content is read, counted and hashed, and nothing is written', async () => {
    await expect(inDryRun(() => storage.publish('rosters/roster.csv', pieces('id\n', '1\n'), CSV))).resolves.toEqual({
      url: `file://${folder}/rosters/roster.csv`,
      bytes: 5,
      sha256: sha256('id\n1\n'),
      isDryRun: true,
    });
    expect(await inFolder()).toEqual([]);
    expect(logger.log).toHaveBeenCalledWith(`Dry run: would publish file://${folder}/rosters/roster.csv`, 'object-storage', { bytes: 5, contentType: CSV.contentType });
  });

  it('of one publication alone, nothing is written either, in a run or outside any', async () => {
    const dry = { ...CSV, isDryRun: true };
    await expect(storage.publish('roster.csv', pieces('x'), dry)).resolves.toMatchObject({ bytes: 1, isDryRun: true });
    await expect(new TestRun().do(() => storage.publish('roster.csv', pieces('x'), dry))).resolves.toMatchObject({ isDryRun: true });
    await expect(inDryRun(() => storage.publish('roster.csv', pieces('x'), { ...CSV, isDryRun: false }))).resolves.toMatchObject({ isDryRun: true });
    expect(await inFolder()).toEqual([]);
  });

  it('an object that is there already is refused all the same', async () => {
    await writeFile(path.join(folder, 'roster.csv'), 'old');
    await expect(inDryRun(() => storage.publish('roster.csv', pieces('new'), CSV))).rejects.toBeInstanceOf(ObjectExistsError);
    await expect(inDryRun(() => storage.publish('roster.csv', pieces('new'), { ...CSV, overwrite: true }))).resolves.toMatchObject({ isDryRun: true });
    await expect(textOf('roster.csv')).resolves.toBe('old');
  });

  it('stops when the run is to', async () => {
    const run = new TestRun({ isDryRun: true });
    async function* endless() {
      yield 'x'.repeat(100_000);
      run.controller.abort(new Error('the run is cancelled'));
      await new Promise(() => undefined);
    }
    await expect(run.do(() => storage.publish('roster.csv', endless(), CSV))).rejects.toThrow('the run is cancelled');
  });
});

describe('names', () => {
  it.each(['', '/roster.csv', '../roster.csv', 'a/../../roster.csv', './roster.csv', 'a//b', 'a/', '.hidden', 'a/.hidden', 'a\\b', 'a\0b', 'a\nb', 'a\u0085b', '\uD800', 'x'.repeat(1_025)])(
    'cannot be %j',
    async (name) => {
      await expect(storage.publish(name, pieces('x'), CSV)).rejects.toMatchObject({ status: 400 });
      await expect(storage.exists(name)).rejects.toMatchObject({ status: 400 });
      expect(await inFolder()).toEqual([]);
    },
  );

  it.each(['roster.csv', 'a/b/c.tar.gz', 'Zoë 100% #1?.csv', 'a..b', '-'])('can be %j', async (name) => {
    const { url } = await storage.publish(name, pieces('x'), CSV);
    expect(fileURLToPath(url)).toBe(path.join(folder, name));
    await expect(textOf(name)).resolves.toBe('x');
  });
});

describe('openObjectStorage', () => {
  it.each(['', 'exports', '/exports', 's3://bucket/prefix', 'gs://', 'gs://UPPER/prefix', 'gs://b', 'file:', 'file:///tmp', 'https://example.org'])('refuses %j', (address) => {
    expect(() => openObjectStorage(address)).toThrow('An object storage is gs://bucket/prefix or file:<folder>');
  });

  it('opens nothing by itself', () => {
    openObjectStorage(`file:${folder}/not-there`);
    openObjectStorage('gs://a-bucket/a-prefix');
    expect(existsSync(`${folder}/not-there`)).toBe(false);
  });

  it("counts a folder from the package's root, wherever the process stands", async () => {
    const cwd = process.cwd();
    process.chdir(tmpdir());
    try {
      const { url } = await inDryRun(() => openObjectStorage('file:./exports').publish('not-there/roster.csv', pieces('x'), CSV));
      expect(fileURLToPath(url)).toBe(path.join(packageRoot(), 'exports/not-there/roster.csv'));
    } finally {
      process.chdir(cwd);
    }
  });
});

describe('uploadResultsToGCS', () => {
  beforeEach(() => {
    jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...envConfig.readEnvConfig({}), objectStorage: `file:${folder}` });
  });
  afterEach(() => jest.restoreAllMocks());

  it.each<[string, Parameters<typeof uploadResultsToGCS>[0]['content']]>([
    ['text', 'id\n1\n'],
    ['bytes', Buffer.from('id\n1\n')],
    ['a stream', pieces('id\n', '1\n')],
  ])('publishes %s to the configured storage', async (_what, content) => {
    await expect(uploadResultsToGCS({ name: 'results.csv', content, ...CSV })).resolves.toMatchObject({ url: `file://${folder}/results.csv`, sha256: sha256('id\n1\n') });
    await expect(textOf('results.csv')).resolves.toBe('id\n1\n');
  });

  it('replaces only what it may', async () => {
    await uploadResultsToGCS({ name: 'results.csv', content: 'old', ...CSV });
    await expect(uploadResultsToGCS({ name: 'results.csv', content: 'new', ...CSV })).rejects.toBeInstanceOf(ObjectExistsError);
    await uploadResultsToGCS({ name: 'results.csv', content: 'new', ...CSV, overwrite: true });
    await expect(textOf('results.csv')).resolves.toBe('new');
  });
});
