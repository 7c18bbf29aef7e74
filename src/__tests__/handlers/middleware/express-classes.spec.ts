import http from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { expressClasses } from '@commons/backend/handlers/middleware/express-classes.js';

let server: http.Server;
/** What the requests and responses were when they came, and when the route had them. */
const seen: unknown[][] = [];

beforeAll(async () => {
  const app = express();
  app.post('/echo', express.json(), (req, res) => {
    seen.push([Object.getPrototypeOf(req), Object.getPrototypeOf(res)]);
    res.status(201).set('X-Path', req.path).json({ body: req.body as unknown, ip: typeof req.ip });
  });
  app.get('/gone', (_req, res) => void res.destroy());
  server = http.createServer({ ...expressClasses(app), requestTimeout: 5_000 }, (req, res) => {
    seen.push([Object.getPrototypeOf(req), Object.getPrototypeOf(res)], [app.request, app.response]);
    app(req, res);
  }).listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => void server.close(resolve));
});
beforeEach(() => void seen.splice(0));

const url = (path: string) => `http://localhost:${(server.address() as AddressInfo).port}${path}`;

describe('the classes of requests and responses', () => {
  it('have Express\'s prototypes from the start, so that Express changes nothing', async () => {
    const answer = await fetch(url('/echo'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"n":1}' });
    expect([answer.status, answer.headers.get('x-path'), await answer.json()]).toEqual([201, '/echo', { body: { n: 1 }, ip: 'string' }]);
    const [before, own, inRoute] = seen as [unknown[], unknown[], unknown[]];
    for (const at of [0, 1]) {
      expect(before[at]).toBe(own[at]);
      expect(inRoute[at]).toBe(own[at]);
    }
  });

  it('are Node\'s own all the same: streams, events, several requests on one connection, answers that break off', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = () => new Promise<number | undefined>((resolve, reject) => {
      http.request(url('/echo'), { method: 'POST', agent, headers: { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' } }, (res) => {
        res.resume().once('end', () => resolve(res.statusCode));
      }).once('error', reject).end('{"chunked":true}');
    });
    expect([await ask(), await ask(), await ask()]).toEqual([201, 201, 201]);
    agent.destroy();
    await expect(fetch(url('/gone'))).rejects.toThrow();
    const [[req, res]] = seen as [[object, object]];
    expect([Object.create(req) instanceof http.IncomingMessage, Object.create(res) instanceof http.ServerResponse]).toEqual([true, true]);
  });
});
