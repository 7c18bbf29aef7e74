import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EnvConfigError } from '../env-config.js';

/**
 * Makes sure that the jobs import the files that this process runs. They import by the package's own name, which stands for the sources, or
 * for the build where Node was started with `-C dist` (`exports` in package.json).
 * @param root the folder of the entry file: src or dist
 * @param resolve finds a module as the entry file does
 * @throws {EnvConfigError} saying what to type instead
 */
export function requireOwnTree(root: string, resolve: (specifier: string) => string): void {
  const found = fileURLToPath(resolve('@commons/backend/jobs/helpers.js'));
  if (found.startsWith(root + path.sep)) return;
  const [script = '', ...args] = process.argv.slice(1);
  const command = [path.relative('', script), ...args].join(' ');
  throw new EnvConfigError(
    found.endsWith('.ts')
      ? `This is the build, but its jobs would import the sources. Type:\n  node -C dist ${command}`
      : `These are the sources, but their jobs would import the build. Leave out -C dist:\n  node --import tsx ${command}`,
  );
}
