import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import dns from 'node:dns';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import * as envConfig from '@commons/backend/lib/env-config.js';
import { openSource } from '@commons/backend/lib/open-source.js';
import { packageRoot } from '@commons/backend/lib/process/package-root.js';
import { requirePermittedHost } from '@commons/backend/lib/http-client/permitted-source.js';

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
    'http://metadata.google.internal../',
    'http://metadata.goog/',
    'http://instance-data/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[64:ff9b::169.254.169.254]/',
    'http://[64:ff9b:1::a9fe:a9fe]/',
    'http://[::169.254.169.254]/',
    'http://[2002:a9fe:a9fe::1]/',
    'http://[fd20:ce::254]/',
    'http://192.0.0.192/',
    'http://168.63.129.16/',
    'http://0251.0376.0251.0376/',
    'http://0xA9FEA9FE/',
    'http://169.254.43518/',
    'http://169.254.169.254./',
    'http://１６９.２５４.169.254/',
    'http://169。254。169。254/',
    'http://%31%36%39.254.169.254/',
    'http://0.0.0.0/',
    'http://0/',
    'http://[::]/',
  ])('is not asked at %s, which may hold credentials', async (address) => {
    await expect(read(address)).rejects.toMatchObject({ status: 400, data: expect.stringMatching(/^[^/]+ is no host that a source may come from: it may hold credentials$/) });
  });

  it.each(['http://[fe80::1%25eth0]/', 'http://256.1.1.1/', 'http://'])('is not asked when it cannot be read: %s', async (address) => {
    await expect(read(address)).rejects.toMatchObject({ status: 400 });
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

  it('is in no private network where others than the user of the machine can call, unless SOURCE_HOSTS names it', () => {
    const auth = { ...envConfig.readEnvConfig({}).auth, mode: 'google' } as const;
    const OWN = ['127.0.0.1', '10.1.2.3', '192.168.1.1', '[::1]', '[fd12::1]', '[::ffff:10.0.0.1]'];
    configure({ auth });
    for (const host of OWN) expect(() => requirePermittedHost(`http://${host}/`)).toThrow(/is in a private network\. SOURCE_HOSTS/);
    expect(() => requirePermittedHost('http://8.8.8.8/')).not.toThrow();
    configure({ auth, sourceHosts: new Set(['10.1.2.3', '169.254.1.1']) });
    expect(() => requirePermittedHost('http://10.1.2.3/')).not.toThrow();
    expect(() => requirePermittedHost('http://169.254.1.1/')).not.toThrow();
  });
});

describe('a host that has a name', () => {
  let server: http.Server;
  let requests: number;
  let port: number;
  const GOOGLE = { ...envConfig.readEnvConfig({}).auth, mode: 'google' } as const;

  beforeEach(async () => {
    requests = 0;
    server = http.createServer((_req, res) => {
      requests++;
      res.end('whole');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => {
    jest.restoreAllMocks();
    server.closeAllConnections();
    server.close();
  });

  /** Whatever name is asked for, it resolves to these, one list after the other; the last one stays. */
  const resolveTo = (...answers: string[][]) => {
    let asked = 0;
    jest.spyOn(dns, 'lookup').mockImplementation(((_name: string, _options: object, done: (error: null, addresses: object[]) => void) => {
      const addresses = answers[Math.min(asked++, answers.length - 1)]!;
      process.nextTick(() => done(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))));
    }) as never);
    return () => asked;
  };
  const source = (name = 'files.example') => `http://${name}:${port}/list.csv`;

  it('is asked where its name leads', async () => {
    const asked = resolveTo(['127.0.0.1']);
    await expect(read(source())).resolves.toBe('whole');
    expect([asked(), requests]).toEqual([1, 1]);
  });

  it.each([['169.254.169.254'], ['192.0.0.192'], ['fe80::1%lo'], ['64:ff9b::a9fe:a9fe'], ['::ffff:169.254.169.254'], ['fd00:ec2::254'], ['0.0.0.0']])('is not asked when it leads to %s, once and for good', async (address) => {
    const asked = resolveTo([address], ['127.0.0.1']);
    await expect(read(source())).rejects.toMatchObject({ status: 400, data: 'files.example is no host that a source may come from: it may hold credentials' });
    expect([asked(), requests]).toEqual([1, 0]);
  });

  it('is not asked when one of several addresses is refused', async () => {
    resolveTo(['127.0.0.1', '169.254.169.254']);
    await expect(read(source())).rejects.toMatchObject({ status: 400 });
    expect(requests).toBe(0);
  });

  it('is connected to at the very address that was checked, though its name leads elsewhere a moment later', async () => {
    const asked = resolveTo(['127.0.0.1'], ['169.254.169.254']);
    await expect(read(source())).resolves.toBe('whole');
    expect([asked(), requests]).toEqual([1, 1]);
  });

  it('is checked again after a redirect, which has a connection of its own', async () => {
    server.removeAllListeners('request').on('request', (_req, res) => {
      requests++;
      res.writeHead(302, { Location: '/again' }).end();
    });
    resolveTo(['127.0.0.1'], ['169.254.169.254']);
    await expect(read(source())).rejects.toMatchObject({ status: 400 });
    expect(requests).toBe(1);
  });

  it('is not asked on this machine where others than its user can call', async () => {
    configure({ auth: GOOGLE });
    await expect(read(source('localhost'))).rejects.toMatchObject({ status: 400, data: expect.stringMatching(/^localhost is no host .* private network/) });
    expect(requests).toBe(0);
  });

  it('may lead into a private network when SOURCE_HOSTS names it, and never to credentials', async () => {
    configure({ auth: GOOGLE, sourceHosts: new Set(['files.example']) });
    resolveTo(['127.0.0.1'], ['169.254.169.254']);
    await expect(read(source())).resolves.toBe('whole');
    await expect(read(source())).rejects.toMatchObject({ status: 400 });
  });

  it.each([['gzip', gzipSync], ['br', brotliCompressSync]] as const)('may send what it was not asked for: a body in %s', async (encoding, pack) => {
    server.removeAllListeners('request').on('request', (_req, res) => res.writeHead(200, { 'Content-Encoding': encoding }).end(pack('whole')));
    resolveTo(['127.0.0.1']);
    await expect(read(source())).resolves.toBe('whole');
  });

  it.each([
    ['breaks off', (res: http.ServerResponse) => void res.writeHead(200, { 'Content-Length': '100' }).write('wh', () => res.destroy())],
    ['breaks off within a packed body', (res: http.ServerResponse) => void res.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000)).subarray(0, 30))],
    ['answers 204 after all', (res: http.ServerResponse) => void res.writeHead(204).end()],
    ['answers with a status that is none', (res: http.ServerResponse) => void res.writeHead(999).end()],
  ])('%s, and nothing is left behind', async (what, answer) => {
    server.removeAllListeners('request').on('request', (_req: unknown, res: http.ServerResponse) => answer(res));
    resolveTo(['127.0.0.1']);
    if (what.includes('204')) await expect(read(source())).resolves.toBe('');
    else await expect(read(source())).rejects.toMatchObject({ status: 502 });
  });
});
