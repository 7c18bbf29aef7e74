import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';
import { testApp } from '../../helpers/test-app.js';

let server: http.Server;

beforeAll(async () => {
  server = testApp().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  return new Promise((resolve) => void server.close(resolve));
});

/** Sends the address byte by byte as it stands, which no well-behaved client does. @returns the answer's status */
const post = (address: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write(`POST ${address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, 'latin1');
    });
    let received = '';
    socket.on('data', (part: Buffer) => (received += part.toString('latin1')));
    socket.on('error', reject);
    socket.on('close', () => resolve(Number(received.split(' ')[1])));
  });

describe('an address', () => {
  it.each([
    ['a no-break space at the end', '/jobs/no-op\u00a0'],
    ['a no-break space before the query', '/jobs/no-op\u00a0?a=1'],
    ['a raw byte that is no ASCII', '/jobs/no-op\u00ff'],
    ['a fragment', '/jobs/no-op#part'],
    ['backslashes and a fragment', '/jobs\\no-op#'],
  ])('with %s is refused with 400, and runs nothing', async (_, address) => {
    expect(await post(address)).toBe(400);
    expect(await BatchJobRun.list({ limit: 1 })).toEqual([]);
  });

  it('without such is taken as it stands', async () => {
    expect(await post('/jobs/no-op\\')).toBe(404);
    expect(await post("/jobs/no-op?a=!$&'()*+,;=:@~%20")).toBe(200);
  });
});
