import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';

// A reader of the PDFs that pdfkit writes with the standard fonts, and of no others (ISO 32000-1): a plain table of objects,
// each page's content in one deflated stream, text in Windows-1252 as hexadecimal strings.

/** The text of each page of a PDF file, one line for each height that text stands at. @throws {Error} when it is no PDF of this kind */
export async function readPdf(file: string): Promise<string[]> {
  const objects = readObjects(await readFile(file));
  const root = object(objects, find(objects.trailer, /\/Root (\d+) 0 R/)).text;
  const pages = object(objects, find(root, /\/Pages (\d+) 0 R/)).text;
  const kids = [...find(pages, /\/Kids \[([^\]]*)\]/).matchAll(/(\d+) 0 R/g)].map(([, number]) => number!);
  if (Number(find(pages, /\/Count (\d+)/)) !== kids.length) throw new Error('this PDF counts other pages than it has');
  return kids.map((kid) => linesOf(contentOf(objects, object(objects, kid).text)));
}

interface Objects {
  readonly bytes: Buffer;
  readonly trailer: string;
  /** Where each object starts, by its number. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** The table at the file's end, whose every entry must point to the object that it names (7.5.4). */
function readObjects(bytes: Buffer): Objects {
  const text = bytes.toString('latin1');
  if (!text.startsWith('%PDF-') || !text.endsWith('%%EOF\n')) throw new Error('this is no whole PDF');
  const table = text.slice(Number(find(text.slice(-64), /startxref\n(\d+)/)));
  const entries = find(table, /^xref\n0 \d+\n((?:\d{10} \d{5} [nf] ?\r?\n)*)trailer/).trimEnd().split('\n');
  const offsets = new Map(entries.flatMap((entry, number) => (entry.includes(' n') ? [[String(number), Number(entry.slice(0, 10))] as const] : [])));
  for (const [number, offset] of offsets) {
    if (!text.startsWith(`${number} 0 obj\n`, offset)) throw new Error(`this PDF's table does not point to object ${number}`);
  }
  return { bytes, trailer: find(table, /trailer\n(.*)startxref/s), offsets };
}

/** An object's text up to its end, or up to its stream, which starts at `streamAt`. */
function object({ bytes, offsets }: Objects, number: string): { text: string; streamAt: number } {
  const start = offsets.get(number);
  if (start === undefined) throw new Error(`this PDF has no object ${number}`);
  const rest = bytes.toString('latin1', start);
  const end = /\bendobj\n|\bstream\n/.exec(rest)!;
  return { text: rest.slice(0, end.index), streamAt: start + end.index + end[0].length };
}

function contentOf(objects: Objects, page: string): string {
  const { text, streamAt } = object(objects, find(page, /\/Contents (\d+) 0 R/));
  find(text, /\/Filter (\/FlateDecode)/);
  return inflateSync(objects.bytes.subarray(streamAt, streamAt + Number(find(text, /\/Length (\d+)/)))).toString('latin1');
}

/** What `[<hex> number <hex> ...] TJ` shows (9.4.3); the numbers move letters closer together. */
function linesOf(content: string): string {
  let height: string | undefined;
  let lines = '';
  for (const [, at, shown] of content.matchAll(/BT\n1 0 0 1 \S+ (\S+) Tm\n[^[]*\[([^\]]*)\] TJ/g)) {
    if (height !== undefined) lines += at === height ? ' ' : '\n';
    height = at;
    for (const [, hex] of shown!.matchAll(/<([\da-f]*)>/g)) lines += fromWindows1252(Buffer.from(hex!, 'hex'));
  }
  return lines;
}

/** What Windows-1252 has from 0x80 on, where Latin-1 has control characters. Node 20's TextDecoder takes the two for one. */
const FROM_0X80 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

const fromWindows1252 = (bytes: Buffer): string => bytes.toString('latin1').replaceAll(/[\u0080-\u009f]/g, (letter) => FROM_0X80[letter.charCodeAt(0) - 0x80]!);

function find(text: string, what: RegExp): string {
  const found = what.exec(text)?.[1];
  if (found === undefined) throw new Error(`this PDF has no ${what.source} where it must be`);
  return found;
}
