import type http from 'node:http';
import type { AddressInfo } from 'node:net';
import { EnvConfigError, envConfig } from '../env-config.js';

/**
 * Has the server listen at HOST and PORT.
 * @returns its address, such as http://localhost:8080
 * @throws {EnvConfigError} when it cannot listen there, saying what to set
 */
export function listen(server: http.Server): Promise<string> {
  const { host, port } = envConfig();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenFault(error)));
    server.listen(port, host, () => {
      const name = ['127.0.0.1', '0.0.0.0', '::', '::1'].includes(host) ? 'localhost' : urlHost(host);
      resolve(`http://${name}:${(server.address() as AddressInfo).port}`);
    });
  });
}

/** An IPv6 address stands in brackets (RFC 3986, 3.2.2). */
const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** What is wrong with HOST or PORT is the environment's fault, and told like any other of its faults. */
function listenFault(error: NodeJS.ErrnoException): Error {
  const { host, port } = envConfig();
  const place = `${urlHost(host)}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new EnvConfigError(`PORT: ${place} is in use. End what listens there, or set PORT to another one.`, { cause: error });
    case 'EACCES':
      return new EnvConfigError(`PORT: this user may not listen on ${place}. Set PORT to one from 1024 on.`, { cause: error });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new EnvConfigError(`HOST: ${host} is no address of this machine. Set HOST to 127.0.0.1, or to 0.0.0.0 for all.`, { cause: error });
    default:
      return error;
  }
}
