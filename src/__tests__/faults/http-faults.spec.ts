import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Request, Response } from 'express';
import request from 'supertest';
import { errorHandler } from '@commons/backend/handlers/middleware/error-handler.js';
import type { Job, JobRegistry } from '@commons/backend/lib/job-files/registry.js';
import knex from '@commons/backend/lib/knex.js';
import { cannotBeLoaded } from '@commons/backend/lib/job-files/module.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { BatchJobRunLog } from '@commons/backend/models/batch-job-run-log.js';
import { killServiceProcesses, type ServiceProcess, startServiceProcess } from '../helpers/service-process.js';
import { testApp } from '../helpers/test-app.js';
import { untilRunning } from '../helpers/until-running.js';
import { waitUntil } from '../helpers/wait-until.js';

const app = testApp();
let server: http.Server;
let url: string;

beforeAll(async () => {
  server = app.listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://localhost:${(server.address() as AddressInfo).port}`;
});
afterEach(() => void jest.restoreAllMocks());
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => void server.close(resolve));
});

const newest = async (jobName: string) => (await BatchJobRun.list({ jobName, limit: 1 }))[0];

describe('a job that answers by itself', () => {
  const call = (next: string) =>
    fetch(`${url}/jobs/answers-itself`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ next }) });

  it('and ends its answer has had its say', async () => {
    expect(await (await call('end')).text()).toBe('begun, ended');
  });

  it('and leaves its answer open has it ended', async () => {
    expect(await (await call('return')).text()).toBe('begun');
    expect(await newest('answers-itself')).toMatchObject({ status: 'succeeded' });
  });

  it('and then throws has its answer cut off, so that the caller sees that it is not whole', async () => {
    await expect(call('throw').then((answer) => answer.text())).rejects.toThrow();
    expect(await newest('answers-itself')).toMatchObject({ status: 'failed', errorMessage: 'after the headers were sent' });
  });

  it('and passes its timeout has its answer cut off, and what it writes later harms nobody', async () => {
    await expect(call('dawdle').then((answer) => answer.text())).rejects.toThrow();
    expect(await newest('answers-itself')).toMatchObject({ status: 'timed_out' });
    await delay(1_000);
    expect((await request(app).get('/healthz')).status).toBe(200);
  });
});

/** Delivers the same twice, as Cloud Scheduler may; returns both answers. */
async function deliverTwice(slug: string, body: object) {
  const headers = { 'X-CloudScheduler-JobName': slug, 'X-CloudScheduler-ScheduleTime': '2026-11-23T06:00:00Z' };
  await knex('batch_job_run').delete();
  const deliver = () => request(app).post(`/jobs/${slug}`).set(headers).send(body);
  const first = await deliver();
  return [first, await deliver()] as const;
}

describe('an AcceptableError with a 2xx', () => {
  it.each([204, 205])('of %d has no body, the second time neither', async (status) => {
    for (const answer of await deliverTwice('throws', { status, data: 'nothing to do', acceptable: true })) {
      expect(answer.status).toBe(status);
      expect(answer.text).toBe('');
      expect(answer.headers['content-type']).toBeUndefined();
      expect(answer.headers['job-run-id']).toBeDefined();
    }
  });

  it.each([
    [200, 'already done'],
    [202, { taskId: 7 }],
    [200, null],
  ])('of %d answers %j as plain JSON, the second time too', async (status, data) => {
    for (const answer of await deliverTwice('throws', { status, data, acceptable: true })) {
      expect(answer.status).toBe(status);
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(JSON.parse(answer.text)).toEqual(data);
    }
  });
});

describe('a repeated delivery', () => {
  it('of a job that returned null gets null, and of one that returned nothing gets 204', async () => {
    for (const answer of await deliverTwice('returns', { kind: 'null' })) expect([answer.status, answer.text]).toEqual([200, 'null']);
    for (const answer of await deliverTwice('returns-nothing', {})) expect([answer.status, answer.text]).toEqual([204, '']);
  });

  it.each(['huge', 'deep'])('of a result that was too %s to be kept says so', async (kind) => {
    const [first, second] = await deliverTwice('returns', { kind });
    expect(second.status).toBe(200);
    expect(second.body).toMatchObject({
      runId: first.headers['job-run-id'], status: 'succeeded', resultCut: true, bytes: Buffer.byteLength(first.text), note: expect.stringContaining('cannot be sent again'),
    });
  });

  it('whose run cannot be looked up is answered 503, with the run\'s address', async () => {
    const [first] = await deliverTwice('echo', {});
    const headers = { 'X-CloudScheduler-JobName': 'echo', 'X-CloudScheduler-ScheduleTime': '2026-11-23T06:00:00Z' };
    // What reading a whole run needs, and claiming one does not.
    await knex.raw('alter table batch_job_run rename column writes to "writesElsewhere"');
    const answer = await request(app).post('/jobs/echo').set(headers).send({});
    await knex.raw('alter table batch_job_run rename column "writesElsewhere" to writes');
    expect(answer.status).toBe(503);
    expect(answer.headers).toMatchObject({ 'retry-after': '5', location: `/runs/${first.headers['job-run-id']}`, 'job-run-id': first.headers['job-run-id'] });
  });
});

describe('GET /runs', () => {
  it.each([['/runs', 503, 'The search took too long. Narrow it, by job or since.'], ['/jobs', 503, 'Looking for the newest runs took too long. Send it again.']])(
    'answers a search that takes too long in its own words (%s: %d)',
    (path, status, detail) => {
      const sent: { status?: number; text?: string } = {};
      const res = {
        headersSent: false, set: () => res, type: () => res,
        status: (code: number) => ((sent.status = code), res),
        send: (text: string) => ((sent.text = text), res),
      };
      const error = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' });
      errorHandler(error, { method: 'GET', path } as Request, res as unknown as Response, () => undefined);
      expect(sent.status).toBe(status);
      expect(JSON.parse(sent.text!)).toMatchObject({ status, detail });
    },
  );
});

describe('GET /jobs', () => {
  const registryOf = (load: Job['load']): JobRegistry => {
    const jobs: Job[] = [
      { slug: 'fine', file: 'fine.ts', load: () => ({ handler: async () => 1, RequestBody: undefined, config: {}, timeoutMs: undefined }) },
      { slug: 'odd', file: 'odd.ts', load },
    ];
    return { find: (slug) => jobs.find((job) => job.slug === slug), list: () => jobs, faults: () => [] };
  };

  it('waits a moment only for a job that hangs as it loads, and lists the rest', async () => {
    const hanging = testApp(registryOf(() => new Promise(() => undefined)));
    const since = performance.now();
    const { body } = await request(hanging).get('/jobs').expect(200);
    expect(performance.now() - since).toBeLessThan(30_000);
    expect(body.jobs).toMatchObject([{ slug: 'fine', status: 'ok' }, { slug: 'odd', status: 'loading', error: expect.stringContaining('top level') }]);
    expect((await request(hanging).get('/jobs/odd').expect(200)).body).toMatchObject({ status: 'loading', requestBody: null });
  });

  it('names the file of a broken job and the kind of error, but no folder and none of its words', async () => {
    const thrown = Object.assign(new Error("Cannot find module '/srv/app/src/lib/x.js' imported from file:///srv/app/src/jobs/odd.ts"), { code: 'ERR_MODULE_NOT_FOUND' });
    const broken = testApp(registryOf(() => Promise.reject(cannotBeLoaded(`/srv/app/src/jobs/odd.ts cannot be loaded: ${thrown.message}`, thrown))));
    const { body } = await request(broken).get('/jobs').expect(200);
    expect(body.jobs[1]).toMatchObject({ slug: 'odd', status: 'broken', error: expect.stringMatching(/^odd\.ts cannot be loaded: Error \(ERR_MODULE_NOT_FOUND\)\. The log of the service says more/) });
    expect(JSON.stringify(body)).not.toMatch(/srv|x\.js/);
  });

  it('tells in full what the service itself finds wrong with a file', async () => {
    const { body } = await request(app).get('/jobs/broken-no-default').expect(200);
    expect(body.error).toMatch(/^broken-no-default\.ts cannot be loaded: it has no default export\. End it with/);
  });
});

describe('a log as NDJSON', () => {
  it('is read no faster than its reader takes it, and no further when it has gone', async () => {
    const { headers } = await request(app).post('/jobs/no-op').send({});
    const line = { attempt: 1, seq: 1, level: 'info', tag: 'x', message: 'x'.repeat(10_000), data: null, at: new Date() };
    const list = jest.spyOn(BatchJobRunLog, 'listLines').mockImplementation(async () => Array.from({ length: 1_000 }, () => line) as never);
    const call = http.get(`${url}/runs/${headers['job-run-id']}/logs`, { headers: { Accept: 'application/x-ndjson' } });
    const answer = await new Promise<http.IncomingMessage>((resolve) => void call.once('response', resolve));
    answer.pause();
    await delay(1_000);
    const read = list.mock.calls.length;
    expect(read).toBeLessThan(5); // 10 MB each: without heed to the reader it would be dozens.
    await delay(300);
    expect(list.mock.calls.length).toBe(read);
    call.destroy();
    await delay(500);
    expect(list.mock.calls.length).toBeLessThanOrEqual(read + 1);
  });
});

describe('a client at its socket', () => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await startServiceProcess();
  });
  afterAll(killServiceProcesses);

  /** Sends the text, and nothing more; resolves with all that came back when the service hangs up. */
  function send(text: string): { socket: net.Socket; answer: Promise<string> } {
    const socket = net.connect(Number(new URL(service.url).port), 'localhost', () => socket.write(text));
    let received = '';
    socket.on('data', (part: Buffer) => (received += part.toString()));
    socket.on('error', () => undefined);
    return { socket, answer: new Promise((resolve) => void socket.once('close', () => resolve(received))) };
  }

  const head = (path: string, length: number) => `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

  it('that hangs up changes nothing: the run goes on, and its outcome is recorded', async () => {
    const body = JSON.stringify({ ms: 1_500 });
    const { socket } = send(head('/jobs/waits', body.length) + body);
    const run = await untilRunning('waits');
    socket.destroy();
    await waitUntil('the run has ended', async () => (await newest('waits'))?.status !== 'running');
    expect(await BatchJobRun.find(run.id)).toMatchObject({ status: 'succeeded', httpStatus: 200, result: { waited: 1_500 } });
  });

  it('that dawdles over its headers or its body gets 408 within seconds, and nothing runs', async () => {
    const slow = [send('POST /jobs/echo HTTP/1.1\r\nHost: localhost\r\nX-Slow'), send(`${head('/jobs/echo', 100)}{"a":`)];
    const before = await newest('echo');
    for (const { answer } of slow) expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(await newest('echo')).toEqual(before);
  });

  it('that floods the service with headers gets 431', async () => {
    const { answer } = send(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Flood: ${'x'.repeat(100_000)}\r\n\r\n`);
    expect(await answer).toMatch(/^HTTP\/1\.1 431 /);
  });
});
