import fc from 'fast-check';
import { type CsvRow, readCsv } from '@commons/backend/lib/read-csv.js';
import { waitUntil } from '../helpers/wait-until.js';

/** The bytes of `text` in pieces of `size`, so that characters and line ends are cut in two. */
function* inPieces(text: string | Uint8Array, size = 1): Generator<Uint8Array> {
  const bytes = Buffer.from(text as string);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<CsvRow[]> {
  const rows: CsvRow[] = [];
  for await (const row of readCsv(bytes)) rows.push(row);
  return rows;
}

const rowsOf = (text: string | Uint8Array) => read(inPieces(text));

describe('readCsv', () => {
  it.each([
    ['nothing', '', []],
    ['one row without a line end', 'a,b', [[1, 'a', 'b']]],
    ['rows that end in LF', 'a,b\n1,2\n', [[1, 'a', 'b'], [2, '1', '2']]],
    ['rows that end in CRLF', 'a,b\r\n1,2\r\n', [[1, 'a', 'b'], [2, '1', '2']]],
    ['rows that end in CR', 'a,b\r1,2', [[1, 'a', 'b'], [2, '1', '2']]],
    ['all of these at once', 'a\r\nb\nc\rd', [[1, 'a'], [2, 'b'], [3, 'c'], [4, 'd']]],
    ['a byte order mark', '\uFEFFa,b', [[1, 'a', 'b']]],
    ['quoted cells', '"a, b","say ""c"""\n', [[1, 'a, b', 'say "c"']]],
    ['an empty quoted cell in a row of its own beside others', 'a,""\n,\n', [[1, 'a', ''], [2, '', '']]],
    ['line ends in cells', '"a\r\nb",c\r\n"d\n\n",e\r\nf,g', [[1, 'a\nb', 'c'], [3, 'd\n\n', 'e'], [6, 'f', 'g']]],
    ['empty lines', '\na\n\n\nb\n\n', [[2, 'a'], [5, 'b']]],
    ['rows of different lengths', 'a\nb,c\n', [[1, 'a'], [2, 'b', 'c']]],
    ['letters of several bytes', 'é,Ł,李,😀\n', [[1, 'é', 'Ł', '李', '😀']]],
  ])('reads %s', async (_what, text, expected) => {
    expect((await rowsOf(text)).map(({ line, cells }) => [line, ...cells])).toEqual(expected);
  });

  it('gives bytes that are no UTF-8 as U+FFFD', async () => {
    await expect(rowsOf(Buffer.from('Peñasco', 'latin1'))).resolves.toEqual([{ line: 1, cells: ['Pe\uFFFDasco'] }]);
  });

  it('reads back whatever was quoted, and knows the line in which each row begins', async () => {
    const cell = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', '\r\n', 'é', 'a') }));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(cell, { minLength: 2, maxLength: 4 })), fc.constantFrom('\n', '\r\n'), fc.integer({ min: 1, max: 9 }), async (table, end, size) => {
        const lines = table.map((cells) => cells.map((text) => `"${text.replaceAll('"', '""')}"`).join(',') + end);
        let line = 1;
        const expected = table.map((cells, at) => {
          const row = { line, cells: cells.map((text) => text.replaceAll(/\r\n?/g, '\n')) };
          line += lines[at]!.replaceAll(/\r\n?/g, '\n').split('\n').length - 1;
          return row;
        });
        expect(await read(inPieces(lines.join(''), size))).toEqual(expected);
      }),
    );
  });

  it.each([
    ['is never closed', 'a,b\n1,2\n"x,4\n5,6\n', 3],
    ['is closed rows later', 'a,b\n1,2\n"x,4\n5,6\n"7",8\n9,10\n', 3],
    ['is followed by more', 'a,b\n1,2\n"x"y,4\n5,6\n', 3],
    ['stands inside a cell', 'a,b\n1,2\nx"y,4\n5,6\n', 3],
    ['comes after cells with line ends', 'a,b\n"1\n",2\nx"y,4\n5,6\n', 4],
  ])('gives the rows before it, and stops at the line of a quotation mark that %s', async (_what, text, line) => {
    for (const bytes of [inPieces(text), [Buffer.from(text)]]) {
      const lines: number[] = [];
      const reading = (async () => {
        for await (const row of readCsv(bytes)) lines.push(row.line);
      })();
      await expect(reading).rejects.toMatchObject({ name: 'CsvFault', line, message: expect.stringContaining('quotation mark') });
      await expect(reading).rejects.not.toMatchObject({ message: expect.stringContaining('x') });
      expect(lines).toEqual([1, 2]);
    }
  });

  it('holds no more than one long row, and reads no further', async () => {
    let pieces = 0;
    const endless = (function* () {
      yield Buffer.from('a,b\n"');
      for (; pieces < 10_000; pieces++) yield Buffer.from('x,y\n'.repeat(1_000));
    })();
    await expect(read(endless)).rejects.toMatchObject({ line: 2, message: expect.stringContaining('more than 100000 characters') });
    expect(pieces).toBeLessThan(1_000);
  });

  it('throws what its source throws', async () => {
    const source = (async function* () {
      yield Buffer.from('a,b\n');
      throw new Error('the line broke');
    })();
    await expect(read(source)).rejects.toThrow('the line broke');
  });

  it('closes its source when it is left early', async () => {
    const closed = jest.fn();
    const source = (async function* () {
      try {
        for (;;) yield Buffer.from('a,b\n');
      } finally {
        closed();
      }
    })();
    for await (const { line } of readCsv(source)) if (line === 3) break;
    await waitUntil('it is closed', () => closed.mock.calls.length === 1);
  });
});
