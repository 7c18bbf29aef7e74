import { setTimeout as delay } from 'node:timers/promises';
import net from 'node:net';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { testApp, testRegistry } from '../helpers/test-app.js';

/** As with AUTH=google: who calls is known in a later turn of the event loop, and the socket may be closed by then. */
const authenticate = async () => {
  await delay(50);
  return { email: 'ada@example.org', isVerified: true, permissions: ['run', 'read'] as const };
};
const server = http.createServer(testApp(testRegistry(), { authenticate }));

beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => new Promise((resolve) => server.close(resolve)));

const BODY = '{"isDryRun":true,"a":1}';

async function sendAndClose(sent: string, how: 'end' | 'reset'): Promise<void> {
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.write(sent, () => resolve()));
  if (how === 'reset') socket.resetAndDestroy();
  else socket.destroy();
}

describe('a caller that hangs up before its body is read', () => {
  it.each(['end', 'reset'] as const)('never has its job run with another body than it sent (%s)', async (how) => {
    const head = `POST /jobs/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;
    for (const sent of [head, head + BODY.slice(0, 5), head + BODY]) for (let n = 0; n < 5; n++) await sendAndClose(sent, how);
    // One that stays, and comes after all of them: what they have begun is done by then.
    const { port } = server.address() as AddressInfo;
    expect((await fetch(`http://127.0.0.1:${port}/jobs/echo`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: BODY })).status).toBe(200);
    await delay(500);
    const bodies = (await BatchJobRun.list({ jobName: 'echo', limit: 100 })).map(async ({ id }) => (await BatchJobRun.find(id))!.body);
    const found = await Promise.all(bodies);
    expect(found).toEqual(found.map(() => JSON.parse(BODY)));
  });

  it('and a call without any body has {}', async () => {
    const { port } = server.address() as AddressInfo;
    const answer = await fetch(`http://127.0.0.1:${port}/jobs/echo`, { method: 'POST' });
    expect([answer.status, await answer.json()]).toEqual([200, { echo: {} }]);
  });
});
