import { readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

describe('package-lock.json', () => {
  it('has no field that only newer versions of npm keep: with it, npm 10 would change the file', () => {
    // To mend, after a dependency was added with npm 11: npx npm@10 install --package-lock-only
    expect(read('package-lock.json')).not.toContain('"libc"');
  });

  it('is not written by what installs before npm start, npm test and the others', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const installing = Object.values(scripts).filter((script) => script.includes('npm install'));
    expect(installing).toHaveLength(1);
    expect(installing[0]).toContain('npm install --no-save');
  });
});
