import { openDriverConnection } from './pg-internals.js';

/** Where a connection's server is, and the key that the server gave it for this. */
export interface CancelTarget {
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly sslNegotiation?: string;
  readonly processID: number;
  readonly secretKey: number;
}

/**
 * Asks the server to cancel what the connection does at the moment (PostgreSQL's protocol, 53.2.8). Resolves once the
 * server has taken the request, or could not be reached; whether there was something to cancel, it never says.
 * @param signal gives up
 */
export function sendCancelRequest(target: CancelTarget, signal: AbortSignal): Promise<void> {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = target;
  return new Promise((resolve) => {
    const request = openDriverConnection({ ssl, sslNegotiation });
    const giveUp = () => request.stream.destroy();
    const done = () => {
      signal.removeEventListener('abort', giveUp);
      resolve();
    };
    signal.addEventListener('abort', giveUp);
    const send = () => request.cancel(processID, secretKey);
    request.on('connect', () => {
      if (!ssl) send();
      else if (sslNegotiation !== 'direct') request.requestSsl();
    });
    request.on('sslconnect', send);
    request.on('error', done);
    request.on('end', done);
    if (host.startsWith('/')) request.connect(`${host}/.s.PGSQL.${port}`);
    else request.connect(port, host);
  });
}
