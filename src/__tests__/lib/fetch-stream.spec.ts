import type { ServerResponse } from 'node:http';
import { DryRunRequest, FetchError, fetchStream } from '@commons/backend/lib/fetch-stream.js';
import { openSource } from '@commons/backend/lib/open-source.js';
import { type LoopbackServer, startLoopbackServer } from '../helpers/loopback-server.js';
import { inDryRun, TestRun } from '../helpers/test-scope.js';

jest.mock('@commons/backend/lib/logging.js');

let server: LoopbackServer;
let answer: (res: ServerResponse, path: string) => unknown;

beforeAll(async () => {
  server = await startLoopbackServer(({ url }, res) => answer(res, url.pathname));
});
beforeEach(() => {
  server.received.length = 0;
});
afterAll(() => server.close());

const url = () => `${server.origin}/file?signature=S3cret`;
const name = () => `GET ${server.origin}/file`;

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

/** Writes without end, as fast as it is taken. Resolves with the bytes when the connection is closed. */
const pour = (res: ServerResponse): Promise<number> =>
  new Promise((resolve) => {
    let sent = 0;
    const more = () => {
      do sent += 65_536;
      while (res.write(Buffer.alloc(65_536)));
    };
    res.on('drain', more).on('close', () => resolve(sent));
    more();
  });

describe('fetchStream', () => {
  it('gives the body as it comes in', async () => {
    let finish: (() => void) | undefined;
    answer = (res) => {
      res.write('first');
      finish = () => res.end(', last');
    };
    const chunks = fetchStream(url());
    const { value } = await chunks.next();
    expect(Buffer.from(value as Uint8Array).toString()).toBe('first');
    finish?.();
    await expect(textOf(chunks)).resolves.toBe(', last');
  });

  it('sends nothing before it is read', () => {
    fetchStream(url());
    expect(server.received).toEqual([]);
  });

  it('gives nothing for an answer without a body', async () => {
    answer = (res) => res.writeHead(204).end();
    await expect(textOf(fetchStream(url()))).resolves.toBe('');
  });

  it('reads no further ahead than it is read, and closes the connection when it is left', async () => {
    let poured: Promise<number> | undefined;
    answer = (res) => {
      poured = pour(res);
    };
    for await (const chunk of fetchStream(url())) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    // What the sockets of both sides hold, and no more.
    expect(await poured).toBeLessThan(50_000_000);
  });

  it('asks again for the head of an answer', async () => {
    answer = (res) => (server.received.length < 2 ? res.writeHead(503).end() : res.end('whole'));
    await expect(textOf(fetchStream(url()))).resolves.toBe('whole');
    expect(server.received).toHaveLength(2);
  });

  it('fails with the status of any other answer', async () => {
    answer = (res) => res.writeHead(403).end('S3cret');
    const error = await textOf(fetchStream(url())).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FetchError);
    expect(error).toMatchObject({ status: 403, message: `${name()} answered 403` });
  });

  it('fails, and does not begin again, when the body breaks off', async () => {
    answer = (res) => {
      res.writeHead(200, { 'Content-Length': 100 });
      res.write('half', () => res.destroy());
    };
    await expect(textOf(fetchStream(url()))).rejects.toThrow(`${name()} broke off before its end`);
    expect(server.received).toHaveLength(1);
  });

  it('fails when it falls silent', async () => {
    answer = (res) => res.write('half');
    await expect(textOf(fetchStream(url(), { timeout: 300 }))).rejects.toThrow(`${name()} gave no answer within 0.3 s`);
  });

  it('does not count the time that its reader takes', async () => {
    // The wait is what is tested: the reader is slower than the timeout, the sender is not.
    answer = (res) => {
      res.write('slowly ');
      setTimeout(() => res.end('read'), 100);
    };
    const chunks = fetchStream(url(), { timeout: 400 });
    const { value } = await chunks.next();
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(Buffer.from(value as Uint8Array).toString() + (await textOf(chunks))).toBe('slowly read');
  });

  it('refuses more than it was told to take', async () => {
    answer = (res) => void pour(res);
    await expect(textOf(fetchStream(url(), { maxBytes: 1_000_000 }))).rejects.toThrow(`${name()} answered with more than 1000000 bytes`);
  });

  it('does not follow a redirect to another host', async () => {
    answer = (res) => res.writeHead(302, { Location: 'http://localhost:1/elsewhere' }).end();
    await expect(textOf(fetchStream(url()))).rejects.toThrow('only redirects within the same host are followed');
  });

  it('ends with the reason when the run is to stop amid the body', async () => {
    answer = (res) => res.write('half');
    const run = new TestRun();
    await expect(
      run.do(async () => {
        for await (const _chunk of fetchStream(url())) run.controller.abort(new Error('the run is cancelled'));
      }),
    ).rejects.toThrow('the run is cancelled');
  });

  it('reads in a dry run, and sends nothing else', async () => {
    answer = (res) => res.end('read');
    await expect(inDryRun(() => textOf(fetchStream(url())))).resolves.toBe('read');
    await expect(inDryRun(() => textOf(fetchStream(url(), { method: 'POST', body: {} })))).rejects.toBeInstanceOf(DryRunRequest);
    expect(server.received).toHaveLength(1);
  });
});

describe('openSource of an address', () => {
  it('asks again, and says 502 in the end', async () => {
    answer = (res) => (server.received.length < 2 ? res.destroy() : res.end('whole'));
    await expect(textOf(openSource(url()))).resolves.toBe('whole');
    answer = (res) => res.writeHead(500).end();
    await expect(textOf(openSource(url()))).rejects.toMatchObject({ status: 502, data: `${server.origin}/file answered 500` });
  });
});
