import { existsSync } from 'node:fs';
import { chmod, cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { build, stop } from 'esbuild';
import { processExists } from '../../lib/embedded-postgres/postmaster.js';

const ROOT = path.resolve(__dirname, '../../..');
const SOURCE = path.join(ROOT, 'src');
const COPIED = ['package.json', 'bench'];
const RESULTS = path.join(ROOT, 'bench/results');
const PREFIX = 'commons-backend-build-';

/**
 * Builds all of src but the specs, for the processes that specs start: made once, in a second, where tsx would transpile it anew
 * in each process. It is a package of its own in the system's temporary folder, so that nobody's dist/ is touched; what it
 * throws is told by the lines of src. Its folder is in TEST_BUILD, and built-program.ts knows how to run it.
 */
export async function buildForProcesses(): Promise<void> {
  await removeAbandoned();
  const folder = await mkdtemp(path.join(os.tmpdir(), `${PREFIX}${process.pid}-`));
  process.env.TEST_BUILD = folder;
  // Some processes run as another user, who must be able to read it.
  await chmod(folder, 0o755);
  // bench too, since what it serves must resolve the package's name to this build.
  for (const name of COPIED) if (existsSync(path.join(ROOT, name))) await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true, filter: (file) => file !== RESULTS });
  for (const name of ['node_modules', 'data']) await symlink(path.join(ROOT, name), path.join(folder, name));
  const files = (await readdir(SOURCE, { recursive: true })).filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'));
  await build({
    entryPoints: files.map((file) => path.join(SOURCE, file)),
    outbase: SOURCE,
    outdir: path.join(folder, 'dist'),
    tsconfig: path.join(ROOT, 'tsconfig.json'),
    format: 'esm',
    platform: 'node',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'error',
  });
  await stop();
}

/** Removes the builds of runs that were killed. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(os.tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number(/\d+/.exec(name)?.[0]) : undefined;
    // It may be another user's, who removes it then.
    if (pid && !processExists(pid)) await rm(path.join(os.tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
  }
}
