import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { DryRunRequest, FetchError, fetchJson } from '@commons/backend/lib/fetch-json.js';
import logger from '@commons/backend/lib/logging.js';
import { type LoopbackServer, type Received, startLoopbackServer } from '../helpers/loopback-server.js';
import { inDryRun, inRun, TestRun } from '../helpers/test-scope.js';
import { waitUntil } from '../helpers/wait-until.js';

jest.mock('@commons/backend/lib/logging.js');

type Answer = (res: ServerResponse, request: Received) => unknown;

let server: LoopbackServer;
let answers: Answer[];
let other: Answer;

/** The first `first` answers, one each, and then `then` for good. */
const answer = (...given: Answer[]) => {
  answers = given.slice(0, -1);
  other = given.at(-1)!;
};
const json = (value: unknown, status = 200, headers = {}): Answer => (res) => res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
const status = (code: number, headers = {}): Answer => (res) => res.writeHead(code, headers).end('S3cret');
const cut: Answer = (res) => res.destroy();
const cutAmid: Answer = (res) => {
  res.writeHead(200, { 'Content-Length': 100 });
  res.write('{"patients":', () => res.destroy());
};

beforeAll(async () => {
  server = await startLoopbackServer((request, res) => (answers.shift() ?? other)(res, request));
});
beforeEach(() => {
  server.received.length = 0;
  jest.mocked(logger.warn).mockClear();
  jest.mocked(logger.log).mockClear();
  answer(json({ ok: true }));
});
afterAll(() => server.close());

const url = (path = '/patients') => `${server.origin}${path}`;
const methods = () => server.received.map(({ method }) => method);

describe('fetchJson', () => {
  it('sends JSON and gives the JSON of the answer', async () => {
    answer(json({ id: 7 }, 201));
    await expect(fetchJson(url(), { method: 'POST', body: { name: 'Ada' }, headers: { Authorization: 'Bearer x' } })).resolves.toEqual({ id: 7 });
    expect(server.received).toMatchObject([
      { method: 'POST', body: '{"name":"Ada"}', headers: { 'content-type': 'application/json', accept: 'application/json', authorization: 'Bearer x' } },
    ]);
  });

  it('gives undefined for an answer without a body', async () => {
    answer((res) => res.writeHead(204).end());
    await expect(fetchJson(url(), { method: 'DELETE' })).resolves.toBeUndefined();
  });

  it('fails with the status of any other answer, quoting neither query nor body', async () => {
    answer(status(404));
    const error = await fetchJson(url('/patients?ssn=S3cret')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FetchError);
    expect(error).toMatchObject({ status: 404, message: `GET ${url()} answered 404` });
    expect(JSON.stringify(error)).not.toContain('S3cret');
    expect(server.received).toHaveLength(1);
  });

  it.each<[string, Answer, RegExp]>([
    ['no JSON', (res) => res.end('<p>S3cret</p>'), /no JSON/],
    ['more than may come, as its length says', (res) => res.writeHead(200, { 'Content-Length': 2_000 }).end('"'.padEnd(2_000, 'S3cret')), /more than 1000 bytes/],
    ['more than may come, as it turns out', (res) => { res.write('"'); res.end('S3cret'.repeat(1_000)); }, /more than 1000 bytes/],
  ])('refuses an answer that is %s, without quoting it or asking again', async (_what, given, message) => {
    answer(given);
    const error = (await fetchJson(url(), { maxBytes: 1_000 }).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toBeInstanceOf(FetchError);
    expect(error.message).toMatch(message);
    expect(`${error.message}${error.stack}${String(error.cause)}`).not.toContain('S3cret');
    expect(server.received).toHaveLength(1);
  });

  it.each([
    ['file:///etc/passwd', /must start with http/],
    ['nonsense S3cret', /must start with http/],
    ['https://user:S3cret@example.org/', /has a password in it; use an Authorization header/],
  ])('does not send to %s, and does not quote it', async (address, message) => {
    const error = (await fetchJson(address).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toMatch(message);
    expect(error.stack).not.toContain('S3cret');
  });

  it('names a header that cannot be sent, and not its value', async () => {
    const error = (await fetchJson(url(), { headers: { Authorization: 'Bearer S3cret\n' + 'x: y' } }).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toMatch(/The header "Authorization" .* cannot be sent/);
    expect(error.stack).not.toContain('S3cret');
  });
});

describe('a schema', () => {
  const schema = z.object({ patients: z.array(z.object({ id: z.number() })) });

  it('gives what it makes of the answer', async () => {
    answer(json({ patients: [{ id: 1, extra: true }] }));
    const { patients } = await fetchJson(url(), { schema });
    expect(patients).toEqual([{ id: 1 }]);
  });

  it('fails with paths and no values', async () => {
    answer(json({ patients: [{ id: 1 }, { id: 'S3cret' }, {}] }));
    await expect(fetchJson(url(), { schema })).rejects.toThrow(
      `GET ${url()} answered with what does not fit: patients.1.id (invalid_type), patients.2.id (invalid_type)`,
    );
    expect(server.received).toHaveLength(1);
  });
});

describe('trying again', () => {
  it.each<[string, Answer]>([['429', status(429)], ['503', status(503)], ['500', status(500)], ['a broken connection', cut], ['an answer that breaks off', cutAmid]])(
    'comes after %s',
    async (_what, fault) => {
      answer(fault, fault, json({ ok: true }));
      await expect(fetchJson(url())).resolves.toEqual({ ok: true });
      expect(server.received).toHaveLength(3);
      expect(logger.warn).toHaveBeenCalledTimes(2);
    },
  );

  it('comes as often as it was told, and the last fault is the error', async () => {
    answer(status(503));
    await expect(fetchJson(url(), { retries: 1 })).rejects.toMatchObject({ status: 503 });
    expect(server.received).toHaveLength(2);
    await expect(fetchJson(url(), { retries: 0 })).rejects.toMatchObject({ status: 503 });
    expect(server.received).toHaveLength(3);
  });

  it('does not come after what will not change', async () => {
    for (const code of [400, 401, 404, 409, 422]) {
      answer(status(code));
      await expect(fetchJson(url())).rejects.toMatchObject({ status: code });
    }
    expect(server.received).toHaveLength(5);
  });

  it.each([['POST', 1], ['PATCH', 1], ['PUT', 4], ['DELETE', 4]])('comes by itself for what may be asked twice: %s', async (method, times) => {
    answer(status(503));
    await expect(fetchJson(url(), { method, body: {} })).rejects.toMatchObject({ status: 503 });
    expect(server.received).toHaveLength(times);
  });

  it('comes for a POST that may be repeated', async () => {
    answer(cut, json({ id: 1 }));
    await expect(fetchJson(url(), { method: 'POST', retryUnsafe: true })).resolves.toEqual({ id: 1 });
    answer(status(503), json({ id: 2 }));
    await expect(fetchJson(url(), { method: 'POST', headers: { 'Idempotency-Key': '7' } })).resolves.toEqual({ id: 2 });
    expect(server.received).toHaveLength(4);
  });

  it.each([
    ['seconds', () => '1'],
    ['a date', () => new Date(Date.now() + 2_000).toUTCString()],
  ])('comes when Retry-After says, in %s', async (_what, retryAfter) => {
    answer(status(503, { 'Retry-After': retryAfter() }), json({ ok: true }));
    const before = performance.now();
    await expect(fetchJson(url())).resolves.toEqual({ ok: true });
    // A date has whole seconds: two from now may be one and a bit.
    expect(performance.now() - before).toBeGreaterThan(900);
  });

  it('does not come when Retry-After is far off, and says how far', async () => {
    answer(status(429, { 'Retry-After': '3600' }));
    await expect(fetchJson(url())).rejects.toMatchObject({ status: 429, retryAfter: 3_600_000 });
    expect(server.received).toHaveLength(1);
  });

  it('comes after the time for an attempt is over', async () => {
    answer(() => undefined, json({ ok: true }));
    await expect(fetchJson(url(), { timeout: 300 })).resolves.toEqual({ ok: true });
  });
});

describe('the time of an attempt', () => {
  it('ends one that gets no answer', async () => {
    answer(() => undefined);
    await expect(fetchJson(url(), { timeout: 200, retries: 0 })).rejects.toThrow(`GET ${url()} gave no answer within 0.2 s`);
  });

  it('ends one whose answer never ends, though something comes all the time', async () => {
    answer((res) => {
      const timer = setInterval(() => res.write(' '), 20);
      res.on('close', () => clearInterval(timer));
    });
    await expect(fetchJson(url(), { timeout: 300, retries: 0 })).rejects.toThrow('gave no answer within 0.3 s');
  });
});

describe('redirects', () => {
  it('are followed on the same host, with the headers', async () => {
    answer(status(302, { Location: '/moved' }), status(307, { Location: `${server.origin}/again?x=1` }), json({ ok: true }));
    await expect(fetchJson(url(), { headers: { Authorization: 'Bearer x' } })).resolves.toEqual({ ok: true });
    expect(server.received.map(({ url: { pathname }, headers }) => [pathname, headers.authorization])).toEqual([
      ['/patients', 'Bearer x'],
      ['/moved', 'Bearer x'],
      ['/again', 'Bearer x'],
    ]);
  });

  it.each([
    ['another host', () => 'http://localhost:1/x?S3cret', 'http://localhost:1'],
    ['another port', () => 'http://127.0.0.1:1/x', 'http://127.0.0.1:1'],
    ['what is no http', () => 'file:///etc/passwd', 'null'],
    ['an address with a password', () => server.origin.replace('//', '//user:S3cret@'), 'http://127.0.0.1'],
    ['nowhere', () => 'http://', 'no valid address'],
  ])('are not followed to %s', async (_what, location, named) => {
    answer(status(302, { Location: location() }));
    const error = (await fetchJson(url()).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toContain(`was redirected to ${named}`);
    expect(error.message).not.toContain('S3cret');
    expect(server.received).toHaveLength(1);
  });

  it('are followed a few times, and not for ever', async () => {
    answer(status(302, { Location: '/patients' }));
    await expect(fetchJson(url())).rejects.toThrow('was redirected more than 5 times');
    expect(server.received).toHaveLength(6);
  });

  it('are not followed by what may change something', async () => {
    answer(status(307, { Location: '/moved' }));
    await expect(fetchJson(url(), { method: 'POST', body: {} })).rejects.toThrow('a POST does not follow redirects');
    expect(methods()).toEqual(['POST']);
  });
});

describe('in a run', () => {
  it('a request ends when the run is to stop, with the reason, and is not tried again', async () => {
    answer(() => undefined);
    const run = new TestRun();
    const request = run.do(() => fetchJson(url()));
    const outcome = expect(request).rejects.toThrow('the run is cancelled');
    await waitUntil('it was received', () => server.received.length === 1);
    run.controller.abort(new Error('the run is cancelled'));
    await outcome;
    expect(server.received).toHaveLength(1);
  });

  it('so does a wait before another attempt', async () => {
    answer(status(503, { 'Retry-After': '60' }));
    const run = new TestRun();
    const outcome = expect(run.do(() => fetchJson(url()))).rejects.toThrow('the run is cancelled');
    await waitUntil('it waits', () => jest.mocked(logger.warn).mock.calls.length === 1);
    run.controller.abort(new Error('the run is cancelled'));
    await outcome;
  });

  it('that has been stopped, nothing is sent', async () => {
    const run = new TestRun();
    run.controller.abort(new Error('the run is cancelled'));
    await expect(run.do(() => fetchJson(url()))).rejects.toThrow('the run is cancelled');
    expect(server.received).toEqual([]);
  });

  it('a signal of the caller ends a request too', async () => {
    answer(() => undefined);
    await expect(inRun(() => fetchJson(url(), { signal: AbortSignal.timeout(100) }))).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('no listener is left on its signal', async () => {
    const run = new TestRun();
    const add = jest.spyOn(run.signal, 'addEventListener');
    const remove = jest.spyOn(run.signal, 'removeEventListener');
    answer(status(503), json({ ok: true }));
    await run.do(() => fetchJson(url()));
    expect(add).toHaveBeenCalled();
    expect(new Set(remove.mock.calls.map(([, listener]) => listener))).toEqual(new Set(add.mock.calls.map(([, listener]) => listener)));
  });
});

describe('in a dry run', () => {
  it.each(['GET', 'HEAD'])('%s is sent', async (method) => {
    await inDryRun(() => fetchJson(url(), { method }));
    expect(methods()).toEqual([method]);
  });

  it.each(['POST', 'put', 'PATCH', 'DELETE', 'OPTIONS'])('%s is not sent, and fails', async (method) => {
    const request = inDryRun(() => fetchJson(url('/patients?ssn=S3cret'), { method, body: {} }));
    await expect(request).rejects.toBeInstanceOf(DryRunRequest);
    await expect(request).rejects.toThrow(`A dry run may not write, and the job tried ${method.toUpperCase()} ${url()}.`);
    expect(server.received).toEqual([]);
  });

  it('a given answer takes the place of sending, and is logged without query and body', async () => {
    const options = { method: 'POST', body: { name: 'S3cret' }, dryRunAnswer: { id: 'none' } };
    await expect(inDryRun(() => fetchJson(url('/patients?q=S3cret'), options))).resolves.toEqual({ id: 'none' });
    expect(server.received).toEqual([]);
    expect(jest.mocked(logger.log).mock.calls).toEqual([[`Dry run: would send POST ${url()}`, 'fetch']]);
  });

  it('a given answer is not used where the request reads', async () => {
    await expect(inDryRun(() => fetchJson<unknown>(url(), { dryRunAnswer: 'unused' }))).resolves.toEqual({ ok: true });
  });
});
