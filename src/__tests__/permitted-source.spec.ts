import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as envConfig from '@commons/backend/lib/env-config.js';
import { openSource } from '@commons/backend/lib/open-source.js';
import { packageRoot } from '@commons/backend/lib/package-root.js';
import { requirePermittedHost } from '@commons/backend/lib/permitted-source.js';

let folder: string;
let sources: string;

const configure = (settings: Partial<envConfig.EnvConfig>) => jest.spyOn(envConfig, 'envConfig').mockReturnValue({ ...envConfig.readEnvConfig({}), ...settings });

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'permitted-source-')));
  sources = path.join(folder, 'sources');
  await mkdir(path.join(sources, 'deep'), { recursive: true });
  await writeFile(path.join(folder, 'secret'), 'S3cret');
  await writeFile(path.join(sources, 'deep/..list.csv'), 'whole');
  configure({ sourceFolder: sources });
});

afterEach(() => rm(folder, { recursive: true }));

async function read(source: string): Promise<string> {
  let text = '';
  for await (const chunk of openSource(source)) text += Buffer.from(chunk).toString();
  return text;
}

const REFUSED = { status: 400, data: expect.stringContaining('is in no folder that a source may come from: put it into data/, or name its folder by SOURCE_FOLDER') };

describe('a file as a source', () => {
  it('may lie in the folder that was named, at any depth, and in the package\'s data', async () => {
    await expect(read(path.join(sources, 'deep/..list.csv'))).resolves.toBe('whole');
    await expect(read('data/README.md')).resolves.toContain('GeoNames');
    configure({ sourceFolder: path.relative(packageRoot(), sources) });
    await expect(read(path.join(sources, 'deep/..list.csv'))).resolves.toBe('whole');
  });

  it('may lie nowhere else, whether it is there or not', async () => {
    const outside = ['/etc/passwd', '/proc/self/environ', 'package.json', '.env', 'data/../package.json', path.join(sources, '../secret'), path.join(folder, 'none'), `${sources}-2/x`, '..'];
    for (const source of outside) await expect(read(source)).rejects.toMatchObject(REFUSED);
    configure({});
    await expect(read(path.join(sources, 'deep/..list.csv'))).rejects.toMatchObject(REFUSED);
  });

  it('is where its symbolic links lead', async () => {
    await symlink(path.join(folder, 'secret'), path.join(sources, 'leads-out'));
    await symlink(folder, path.join(sources, 'up'));
    for (const source of ['leads-out', 'up/secret']) await expect(read(path.join(sources, source))).rejects.toMatchObject(REFUSED);
    await symlink(sources, path.join(folder, 'alias'));
    configure({ sourceFolder: path.join(folder, 'alias') });
    await expect(read(path.join(folder, 'alias/deep/..list.csv'))).resolves.toBe('whole');
  });

  it('must be there, and a file', async () => {
    await expect(read(path.join(sources, 'none'))).rejects.toMatchObject({ status: 400, data: expect.stringContaining('There is no file') });
    await expect(read(path.join(sources, 'deep'))).rejects.toMatchObject({ status: 400, data: expect.stringContaining('is no regular file') });
  });
});

describe('an address as a source', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://169.254.170.2/v2/credentials',
    'http://2852039166/',
    'http://0xa9.254.0xa9fe/',
    'http://[::ffff:169.254.169.254]/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
    'http://METADATA.google.internal/computeMetadata/v1/',
    'http://metadata.google.internal./',
    'http://metadata/',
  ])('is not asked at %s, which may hold credentials', async (address) => {
    await expect(read(address)).rejects.toMatchObject({ status: 400, data: expect.stringMatching(/^[^/]+ is no host that a source may come from: it may hold credentials$/) });
  });

  it('may be at any other host, or at those alone that were named', () => {
    expect(() => requirePermittedHost('https://download.geonames.org/export/zip/US.zip')).not.toThrow();
    expect(() => requirePermittedHost('http://127.0.0.1:8080/')).not.toThrow();
    configure({ sourceHosts: new Set(['example.com']) });
    expect(() => requirePermittedHost('https://EXAMPLE.com:8443/list.csv')).not.toThrow();
    for (const host of ['example.org', 'sub.example.com', 'example.com.example.org', '127.0.0.1']) {
      expect(() => requirePermittedHost(`https://${host}/list.csv`)).toThrow(/SOURCE_HOSTS/);
    }
  });
});
