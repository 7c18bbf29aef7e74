import { realpath } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { StatusError } from '../../jobs/helpers.js';
import { envConfig } from '../env-config.js';
import { packageRoot } from '../process/package-root.js';
import { addressKind } from './special-address.js';

/**
 * The real path of a file that whoever calls a job may name: one in the package's data folder or in SOURCE_FOLDER, so that
 * no caller has the service read its keys, its configuration or another's upload. Where a symbolic link leads counts too.
 * @param source counts from the package's root, unless it is absolute
 * @throws {StatusError} 400, also for a file outside that is not there: what else there is, no answer tells
 */
export async function permittedFile(source: string): Promise<string> {
  const { sourceFolder } = envConfig();
  const folders = ['data', ...(sourceFolder === undefined ? [] : [sourceFolder])].map((folder) => path.resolve(packageRoot(), folder));
  const file = path.resolve(packageRoot(), source);
  if (!folders.some((folder) => isIn(folder, file))) throw outside(source);
  const real = await realpath(file).catch((cause: unknown) => {
    throw new StatusError(400, `There is no file ${source} that can be read`, { cause });
  });
  const realFolders = await Promise.all(folders.map((folder) => realpath(folder).catch(() => undefined)));
  if (!realFolders.some((folder) => folder !== undefined && isIn(folder, real))) throw outside(source);
  return real;
}

function isIn(folder: string, file: string): boolean {
  const below = path.relative(folder, file);
  return below !== '..' && !below.startsWith(`..${path.sep}`) && !path.isAbsolute(below);
}

const outside = (source: string): StatusError =>
  new StatusError(400, `${source} is in no folder that a source may come from: put it into data/, or name its folder by SOURCE_FOLDER in the service's environment`);

/** Names by which the clouds' machines know the server that gives them their credentials, as one word or below its domain. */
const METADATA_NAME = /^(?:metadata|metadata\.google\.internal|metadata\.goog|instance-data|instance-data\.ec2\.internal|metadata\.tencentyun\.com)$/;

/**
 * Refuses an address that the service must not ask for a caller, by the host in it:
 * - Where SOURCE_HOSTS is set, any host that it does not name. A name in it may lead into a private network.
 * - Else whatever is no server for everybody (special-address.ts), and the service's own machine and private networks too, unless
 *   nobody but its user can call it (AUTH=none).
 * @returns what to ask of each IP address that the host's name resolves to, before it is connected to; it throws the same
 * @throws {StatusError} 400
 */
export function requirePermittedHost(address: string): (ip: string) => void {
  const host = URL.canParse(address) ? new URL(address).hostname.replace(/\.+$/, '') : '';
  if (host === '') throw new StatusError(400, 'The source is no address that can be read');
  const { sourceHosts, auth } = envConfig();
  if (sourceHosts && !sourceHosts.has(host)) throw refused(host, "SOURCE_HOSTS in the service's environment names those that are");
  const literal = host.replace(/^\[(.*)\]$/, '$1');
  const isNamedAddress = sourceHosts !== undefined && isIP(literal) !== 0;
  const mayBeOwn = sourceHosts !== undefined || auth.mode === 'none';
  const check = (ip: string): void => {
    const kind = isNamedAddress ? 'public' : addressKind(ip);
    if (kind === 'special') throw refused(host, HOLDS_CREDENTIALS);
    if (kind === 'own' && !mayBeOwn) throw refused(host, "it is in a private network. SOURCE_HOSTS in the service's environment can name it");
  };
  if (!sourceHosts && METADATA_NAME.test(host)) throw refused(host, HOLDS_CREDENTIALS);
  if (isIP(literal)) check(literal);
  return check;
}

const HOLDS_CREDENTIALS = 'it may hold credentials';
const refused = (host: string, why: string): StatusError => new StatusError(400, `${host} is no host that a source may come from: ${why}`);
