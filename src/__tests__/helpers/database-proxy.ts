import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

// Imported before anything that reads DATABASE_URL: from then on this spec's service reaches its database through the proxy.
// `directUrl` goes past it.

export const directUrl = process.env.DATABASE_URL!;
const folder = mkdtempSync(path.join(tmpdir(), 'commons-proxy-'));
const socketPath = path.join(folder, '.s.PGSQL.5432');

const through = new URL(directUrl);
through.searchParams.set('host', folder);
through.port = '5432';
process.env.DATABASE_URL = through.href;

interface Cut {
  readonly statement: RegExp;
  /** `answered`: once the server has done the statement, and before its answer arrives. `sent`: while the server is still at it. */
  readonly once: 'answered' | 'sent';
  readonly given: () => boolean;
  times: number;
}

const cuts = new Set<Cut>();
const sockets = new Set<net.Socket>();

/**
 * Cuts the connection on which a statement goes out whose text or name fits, `times` times.
 * @param given whether it is cut already
 * @returns how often it was cut
 */
export function cutConnection(statement: RegExp, once: Cut['once'], times = 1, given = () => true): () => number {
  const cut = { statement, once, given, times };
  cuts.add(cut);
  return () => times - cut.times;
}

const upstream = (): net.NetConnectOpts => {
  const url = new URL(directUrl);
  const host = url.searchParams.get('host');
  const port = Number(url.port || 5432);
  return host ? { path: path.join(host, `.s.PGSQL.${port}`) } : { host: url.hostname, port };
};

/** ReadyForQuery: all of the statement's answer is there, and so it was committed. */
const isReady = (bytes: Buffer): boolean => bytes.length >= 6 && bytes.at(-6) === 'Z'.charCodeAt(0);

const server = net.createServer((client) => {
  const database = net.connect(upstream());
  let losing: Cut['once'] | undefined;
  for (const socket of [client, database]) {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  }
  client.on('data', (bytes: Buffer) => {
    const text = bytes.toString('latin1');
    const cut = losing ? undefined : [...cuts].find(({ statement, given, times }) => times > 0 && statement.test(text) && given());
    database.write(bytes);
    if (!cut) return;
    cut.times--;
    losing = cut.once;
    // The server does not notice that nobody waits for the answer any more.
    if (losing === 'sent') client.destroy();
  });
  database.on('data', (bytes: Buffer) => {
    if (!losing) return client.write(bytes);
    if (!isReady(bytes)) return;
    client.destroy();
    database.destroy();
  });
  client.on('close', () => losing !== 'sent' && database.destroy());
  database.on('close', () => client.destroy());
});

beforeAll(() => new Promise<void>((resolve) => server.listen(socketPath, resolve)));
afterEach(() => cuts.clear());
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});
