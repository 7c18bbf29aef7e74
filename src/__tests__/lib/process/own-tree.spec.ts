import { execFile } from 'node:child_process';
import path from 'node:path';
import { requireOwnTree } from '@commons/backend/lib/process/own-tree.js';

const ROOT = path.resolve(__dirname, '../../../..');
const found = (file: string) => () => `file://${ROOT}/${file}`;
const argv = process.argv;

afterEach(() => void (process.argv = argv));

describe('requireOwnTree', () => {
  it.each([['dist', 'dist/jobs/helpers.js'], ['src', 'src/jobs/helpers.ts']])('lets %s run where the jobs import from it', (tree, file) => {
    expect(() => requireOwnTree(path.join(ROOT, tree), found(file))).not.toThrow();
  });

  it('says what to type where the build was started without -C dist', () => {
    process.argv = ['node', path.join(ROOT, 'dist/cli.js'), 'list'];
    expect(() => requireOwnTree(path.join(ROOT, 'dist'), found('src/jobs/helpers.ts'))).toThrow(/^This is the build, .*Type:\n {2}node -C dist dist\/cli\.js list$/);
  });

  it('says what to leave out where the sources were started with it', async () => {
    const ended = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
      execFile(process.execPath, ['-C', 'dist', '--import', 'tsx', 'src/server.ts'], { cwd: ROOT }, (error, _stdout, stderr) => resolve({ code: error?.code, stderr }));
    });
    expect(ended).toEqual({ code: 1, stderr: expect.stringMatching(/^These are the sources, .*Leave out -C dist:\n {2}node --import tsx src\/server\.ts\n$/) });
  });
});
