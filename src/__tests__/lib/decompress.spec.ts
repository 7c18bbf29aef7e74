import { gzipSync } from 'node:zlib';
import { decompress } from '@commons/backend/lib/decompress.js';
import { zipFile } from '../helpers/zip-file.js';

/** `bytes` in pieces, and whether whoever reads them has let go of them. */
function source(bytes: Uint8Array, { size = 65_536, fault = undefined as Error | undefined } = {}) {
  const state = { isLeft: false, bytes: pieces() };
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      if (fault) throw fault;
    } finally {
      state.isLeft = true;
    }
  }
  return state;
}

async function unpacked(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompress(bytes)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const text = Array.from({ length: 50_000 }, (_, i) => `line ${i}`).join('\n');
const packings: [string, Buffer][] = [
  ['plain text', Buffer.from(text)],
  ['gzip', gzipSync(text)],
  ['a ZIP file', zipFile([{ name: 'folder/README', content: 'no' }, { name: 'Readme.TXT', content: 'no' }, { name: 'folder/US.TXT', content: text }])],
];

describe('decompress', () => {
  it.each(packings)('unpacks %s', async (_what, packed) => {
    const { bytes } = source(packed);
    expect(await unpacked(bytes)).toBe(text);
  });

  it.each([
    ['gzip', gzipSync('short')],
    ['a ZIP file', zipFile([{ name: 'a.txt', content: 'short' }])],
  ])('knows %s by its first bytes even when they come one by one', async (_what, packed) => {
    expect(await unpacked(source(packed, { size: 1 }).bytes)).toBe('short');
  });

  it.each(['', 'a', 'PK', 'abc', 'PK\x03'])('passes on text too short to be anything else: %j', async (short) => {
    expect(await unpacked(source(Buffer.from(short)).bytes)).toBe(short);
  });

  it.each(packings)('lets go of %s when it is left off early', async (_what, packed) => {
    const from = source(packed, { size: 1_000 });
    const chunks = decompress(from.bytes);
    const { done, value } = await chunks.next();
    expect([done, (value as Uint8Array).length > 0]).toEqual([false, true]);
    await chunks.return(undefined);
    expect(from.isLeft).toBe(true);
  });

  it.each(packings)('passes on what broke the reading of %s', async (_what, packed) => {
    const fault = new Error('the connection broke');
    await expect(unpacked(source(packed.subarray(0, -50), { fault }).bytes)).rejects.toBe(fault);
  });

  it('keeps to the size that a ZIP file says', async () => {
    const packed = zipFile([{ name: 'a.txt', content: 'x'.repeat(1_000_000) }]);
    packed.writeUInt32LE(10, packed.lastIndexOf('PK\x01\x02') + 24);
    await expect(unpacked(source(packed).bytes)).rejects.toMatchObject({ status: 422 });
  });
});
