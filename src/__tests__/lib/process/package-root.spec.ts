import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '@commons/backend/lib/process/package-root.js';

const ROOT = path.resolve(__dirname, '../../../..');

describe('packageRoot', () => {
  it('is the folder of package.json', () => {
    expect(packageRoot()).toBe(ROOT);
    expect(existsSync(path.join(packageRoot(), 'package.json'))).toBe(true);
  });

  it('leaves the way stacks are made as it was', () => {
    const before = { prepare: Reflect.get(Error, 'prepareStackTrace') as unknown, limit: Error.stackTraceLimit };
    jest.isolateModules(() => (jest.requireActual('@commons/backend/lib/process/package-root.js') as { packageRoot(): string }).packageRoot());
    expect({ prepare: Reflect.get(Error, 'prepareStackTrace') as unknown, limit: Error.stackTraceLimit }).toEqual(before);
    expect(new Error('x').stack).toContain('package-root.spec');
  });

  it('is the same in an ES module, wherever the process stands and whatever started it', () => {
    const file = path.join(ROOT, 'src/lib/process/package-root.ts');
    const script = `Error.stackTraceLimit = 0; console.log((await import(${JSON.stringify(file)})).packageRoot(), Error.stackTraceLimit)`;
    const args = ['--import', pathToFileURL(require.resolve('tsx')).href, '--input-type=module', '--eval', script];
    expect(execFileSync(process.execPath, args, { cwd: '/', encoding: 'utf8' })).toBe(`${ROOT} 0\n`);
  });
});
