import fc from 'fast-check';
import { splitLines } from '@commons/backend/lib/split-lines.js';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function split(content: string | Uint8Array, { size = 65_536, mostChars = 1_000 } = {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of splitLines(inChunks(Buffer.from(content), size), mostChars)) lines.push(line);
  return lines;
}

describe('splitLines', () => {
  it.each<[string, string, string[]]>([
    ['no text as no line', '', []],
    ['a last line without an end as a line', 'a\nb', ['a', 'b']],
    ['a last line end as no further line', 'a\nb\n', ['a', 'b']],
    ['empty lines as lines', '\n\na\n', ['', '', 'a']],
    ['CRLF as one end', 'a\r\nb\r\n', ['a', 'b']],
    ['a lone CR as a character', 'a\rb\n', ['a\rb']],
    ['a byte order mark as nothing', '\uFEFFa\n', ['a']],
  ])('takes %s', async (_what, text, lines) => {
    await expect(split(text)).resolves.toEqual(lines);
  });

  it('gives the same lines wherever the bytes are parted', async () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'é', '語', '🙂', '\t', '\n', '\r\n') });
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), async (content, size) => {
        expect(await split(content, { size })).toEqual(content.replace(/\r?\n$/, '').split(/\r?\n/).slice(content === '' ? 1 : 0));
      }),
    );
  });

  it('shows bytes that are no UTF-8, also where they end the text', async () => {
    await expect(split(Buffer.from([0x61, 0xff, 0x0a, 0x62, 0xc3]))).resolves.toEqual(['a\uFFFD', 'b\uFFFD']);
  });

  it('cuts an endless line, and goes on behind it', async () => {
    const [first, ...others] = await split(`${'x'.repeat(1_000_000)}\nb\n`, { size: 1_000, mostChars: 100 });
    expect(first!.length).toBeGreaterThanOrEqual(100);
    expect(first!.length).toBeLessThan(2_000);
    expect(others).toEqual(['b']);
  });
});
