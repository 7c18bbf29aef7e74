import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface KeyServer {
  readonly url: string;
  /** Requests that it has had. */
  requests(): number;
  close(): void;
}

/** A key server on this machine; whatever is asked for, it publishes these keys. */
export async function startKeyServer(keys: readonly object[]): Promise<KeyServer> {
  let requests = 0;
  const server = http.createServer((_req, res) => {
    requests++;
    res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
