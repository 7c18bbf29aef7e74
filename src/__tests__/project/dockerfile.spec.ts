import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { killServiceProcesses, startServiceProcess } from '../helpers/service-process.js';

const ROOT = path.resolve(__dirname, '../../..');
const dockerfile = readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8');

interface Locked {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
const { packages } = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Readonly<Record<string, Locked>> };

/** Where Node would look for `name` from the package at `from`. */
function placesOf(name: string, from: string): string[] {
  const parts = from.split('/node_modules/');
  return [...parts.map((_, index) => `${parts.slice(0, parts.length - index).join('/node_modules/')}/node_modules/${name}`), `node_modules/${name}`].map((place) => place.replace(/^\//, ''));
}

const exitCode = (command: readonly string[], env: NodeJS.ProcessEnv) =>
  new Promise((resolve) => void spawn(process.execPath, command.slice(1), { env: { ...process.env, ...env }, stdio: 'inherit' }).once('exit', resolve));

describe('the image', () => {
  it('is built on one exact version of Node, and from the lock alone', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    expect(bases.length).toBeGreaterThan(1);
    for (const base of bases) expect(base).toMatch(/^node:24\.\d+\.\d+-slim$/);
    expect(new Set(bases).size).toBe(1);
    expect(dockerfile).toMatch(/^RUN npm ci /m);
    expect(dockerfile).not.toMatch(/npm (install|i|update)\b/);
  });

  it('can be built on every platform: the lock has all optional packages, without which npm ci fails', () => {
    const missing = Object.entries(packages).flatMap(([from, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !placesOf(name, from).some((place) => place in packages)),
    );
    // To mend: npm install --package-lock-only, in a folder without node_modules.
    expect(missing).toEqual([]);
  });

  it('says that it is healthy while the service answers, and only then', async () => {
    const command = JSON.parse(/^HEALTHCHECK .* CMD (\[.*\])$/m.exec(dockerfile)![1]!) as string[];
    expect(command[0]).toBe('node');
    const service = await startServiceProcess();
    const { port } = new URL(service.url);
    expect(await exitCode(command, { PORT: port })).toBe(0);
    await killServiceProcesses();
    expect(await exitCode(command, { PORT: port })).toBe(1);
  });
});
