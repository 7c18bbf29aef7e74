import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { CRC32C } from '@google-cloud/storage';
import { ObjectExistsError, openObjectStorage } from '@commons/backend/apis/object-storage/object-storage.js';
import { type LoopbackServer, type Received, startLoopbackServer } from '../../helpers/loopback-server.js';
import { inDryRun, TestRun } from '../../helpers/test-scope.js';

jest.mock('@commons/backend/lib/logging.js');

const CSV = { contentType: 'text/csv' };
const CHUNK = 8_388_608;

interface Session {
  readonly name: string;
  readonly condition: string | null;
  readonly contentType: unknown;
  content: Buffer;
  isCancelled?: boolean;
}

/** What the client speaks: https://cloud.google.com/storage/docs/performing-resumable-uploads */
class Gcs {
  readonly objects = new Map<string, { content: Buffer; contentType: unknown }>();
  readonly sessions: Session[] = [];
  readonly #id = randomUUID();
  /** Taken one for each request to upload: true does as ever, a function does something else. */
  faults: (true | ((res: ServerResponse, req: IncomingMessage) => unknown))[] = [];

  answer = (request: Received, res: ServerResponse, req: IncomingMessage): unknown => {
    const { method, url } = request;
    if (!url.pathname.startsWith('/upload/')) return this.#metadata(decodeURIComponent(url.pathname.split('/o/')[1] ?? ''), res);
    const session = this.#sessionOf(url);
    // Cancelled, or of an earlier test: what a client that was left off still sends.
    if (method !== 'POST' && (!session || session.isCancelled)) return res.writeHead(499).end();
    if (session && method === 'DELETE') {
      session.isCancelled = true;
      return res.writeHead(499).end();
    }
    const fault = this.faults.shift() ?? true;
    if (fault !== true) return fault(res, req);
    return method === 'POST' ? this.#begin(request, res) : this.#take(session!, request, res);
  };

  #sessionOf(url: URL): Session | undefined {
    const [id, at] = url.searchParams.get('upload_id')?.split('_') ?? [];
    return id === this.#id ? this.sessions[Number(at)] : undefined;
  }

  #metadata(name: string, res: ServerResponse) {
    return this.objects.has(name) ? json(res, 200, { name, bucket: 'bucket', generation: '1' }) : json(res, 404, { error: { code: 404, message: 'No such object' } });
  }

  #begin({ url, headers }: Received, res: ServerResponse) {
    const name = url.searchParams.get('name') ?? '';
    const condition = url.searchParams.get('ifGenerationMatch');
    if (condition === '0' && this.objects.has(name)) return refuse(res);
    this.sessions.push({ name, condition, contentType: headers['x-upload-content-type'], content: Buffer.alloc(0) });
    return res.writeHead(200, { Location: `http://${headers.host}${url.pathname}?upload_id=${this.#id}_${this.sessions.length - 1}` }).end();
  }

  #take(session: Session, { headers, body }: Received, res: ServerResponse) {
    const [, from, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
    if (from !== undefined) session.content = Buffer.concat([session.content.subarray(0, Number(from)), Buffer.from(body, 'latin1')]);
    if (total === '*' || session.content.length < Number(total)) {
      return res.writeHead(308, session.content.length > 0 ? { Range: `bytes=0-${session.content.length - 1}` } : {}).end();
    }
    if (session.condition === '0' && this.objects.has(session.name)) return refuse(res);
    this.objects.set(session.name, { content: session.content, contentType: session.contentType });
    const crc32c = new CRC32C();
    crc32c.update(session.content);
    return json(res, 200, { name: session.name, bucket: 'bucket', size: String(session.content.length), crc32c: crc32c.toString() });
  }
}

const json = (res: ServerResponse, status: number, value: unknown) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
const refuse = (res: ServerResponse) => json(res, 412, { error: { code: 412, message: 'conditionNotMet', errors: [{ reason: 'conditionNotMet' }] } });
const unavailable = (res: ServerResponse) => res.writeHead(503).end();
const cut = (res: ServerResponse) => res.destroy();

let gcs: Gcs;
let server: LoopbackServer;

beforeAll(async () => {
  server = await startLoopbackServer((request, res, req) => gcs.answer(request, res, req));
  process.env.STORAGE_EMULATOR_HOST = server.origin;
});
afterAll(async () => {
  delete process.env.STORAGE_EMULATOR_HOST;
  await server.close();
});
beforeEach(() => {
  gcs = new Gcs();
  server.received.length = 0;
});

const storage = () => openObjectStorage('gs://bucket/exports/daily/');

async function* rows(bytes: number, size = 100_000): AsyncGenerator<string> {
  for (let sent = 0; sent < bytes; sent += size) yield String(sent % 9).repeat(Math.min(size, bytes - sent));
}

async function whole(content: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of content) text += piece;
  return text;
}

const uploads = () => server.received.filter(({ url }) => url.pathname.startsWith('/upload/'));
const object = () => gcs.objects.get('exports/daily/roster.csv');

describe('a published object', () => {
  it.each([0, 5, CHUNK - 1, CHUNK, CHUNK + 1, 2.5 * CHUNK])('is whole, at %d bytes', async (bytes) => {
    const text = await whole(rows(bytes));
    await expect(storage().publish('roster.csv', rows(bytes), CSV)).resolves.toEqual({
      url: 'gs://bucket/exports/daily/roster.csv',
      bytes,
      sha256: createHash('sha256').update(text).digest('hex'),
      isDryRun: false,
    });
    expect(object()?.contentType).toBe('text/csv');
    expect(object()?.content.toString() === text).toBe(true);
    await expect(storage().exists('roster.csv')).resolves.toBe(true);
    await expect(storage().exists('other.csv')).resolves.toBe(false);
  });

  it.each<[string, (res: ServerResponse) => unknown]>([['503', unavailable], ['a cut connection', cut]])('is whole in spite of %s, at the start and amid it', async (_what, fault) => {
    gcs.faults = [fault, true, fault];
    const text = await whole(rows(1.5 * CHUNK));
    await storage().publish('roster.csv', rows(1.5 * CHUNK), CSV);
    expect(object()?.content.toString() === text).toBe(true);
  }, 60_000);
});

describe('an object that is there already', () => {
  beforeEach(() => gcs.objects.set('exports/daily/roster.csv', { content: Buffer.from('old'), contentType: 'text/csv' }));

  it('is refused before anything is read', async () => {
    const content = { [Symbol.asyncIterator]: jest.fn() };
    await expect(storage().publish('roster.csv', content, CSV)).rejects.toBeInstanceOf(ObjectExistsError);
    expect(content[Symbol.asyncIterator]).not.toHaveBeenCalled();
    expect(uploads()).toEqual([]);
  });

  it('is replaced where that is wanted', async () => {
    await storage().publish('roster.csv', rows(5), { ...CSV, overwrite: true });
    expect(object()?.content.toString()).toBe('00000');
    expect(gcs.sessions).toMatchObject([{ condition: null }]);
  });

  it('wins over an upload that began before it was there', async () => {
    gcs.objects.clear();
    async function* slow() {
      yield 'mine';
      gcs.objects.set('exports/daily/roster.csv', { content: Buffer.from('theirs'), contentType: 'text/csv' });
    }
    await expect(storage().publish('roster.csv', slow(), CSV)).rejects.toBeInstanceOf(ObjectExistsError);
    expect(object()?.content.toString()).toBe('theirs');
  });
});

describe('an object that does not become whole', () => {
  it.each([1_000, 2 * CHUNK])('is not there when its content fails after %d bytes', async (bytes) => {
    async function* failing() {
      yield* rows(bytes);
      throw new Error('the query broke off');
    }
    await expect(storage().publish('roster.csv', failing(), CSV)).rejects.toThrow('the query broke off');
    expect(gcs.objects.size).toBe(0);
    expect(gcs.sessions.every(({ isCancelled }) => isCancelled)).toBe(true);
  });

  it('is not there when the run is to stop, even while the content keeps it waiting', async () => {
    const run = new TestRun();
    async function* endless() {
      yield* rows(2 * CHUNK);
      run.controller.abort(new Error('the run is cancelled'));
      await new Promise(() => undefined);
    }
    await expect(run.do(() => storage().publish('roster.csv', endless(), CSV))).rejects.toThrow('the run is cancelled');
    expect(gcs.objects.size).toBe(0);
    expect(gcs.sessions).toMatchObject([{ isCancelled: true }]);
  });

  it('is not there when the bucket may not be written to', async () => {
    gcs.faults = [(res) => json(res, 403, { error: { code: 403, message: 'denied' } })];
    await expect(storage().publish('roster.csv', rows(5), CSV)).rejects.toThrow();
    expect(gcs.objects.size).toBe(0);
  });
});

it('a dry run asks whether the object is there, and uploads nothing', async () => {
  await expect(inDryRun(() => storage().publish('roster.csv', rows(2 * CHUNK), CSV))).resolves.toMatchObject({ bytes: 2 * CHUNK, isDryRun: true });
  expect(server.received.map(({ method }) => method)).toEqual(['GET']);
});
