import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { StatusError } from '../jobs/helpers.js';
import { envConfig } from './env-config.js';
import { packageRoot } from './package-root.js';

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

/**
 * Addresses at which a cloud gives a machine its credentials: link-local ones (RFC 3927, RFC 4291 2.5.6), those that AWS
 * and Alibaba chose besides, and Google's name for its own. URL writes numeric forms of an IPv4 address as four numbers.
 */
const METADATA = /^(169\.254\.|100\.100\.100\.200$|metadata(\.google\.internal)?$|\[fe[89ab]|\[fd00:ec2:|\[::ffff:(a9fe:|6464:64c8))/;

/**
 * Refuses an address that the service must not ask for a caller: of SOURCE_HOSTS where it is set, any other host, and else a
 * cloud's metadata server. What a host's name resolves to is not looked at: where others than you may name hosts, set SOURCE_HOSTS.
 * @throws {StatusError} 400
 */
export function requirePermittedHost(address: string): void {
  const host = new URL(address).hostname.replace(/\.$/, '');
  const { sourceHosts } = envConfig();
  if (sourceHosts ? sourceHosts.has(host) : !METADATA.test(host)) return;
  throw new StatusError(400, `${host} is no host that a source may come from: ${sourceHosts ? "SOURCE_HOSTS in the service's environment names those that are" : 'it may hold credentials'}`);
}
