import PDFDocument from 'pdfkit';
import { printable } from '@commons/backend/jobs/helpers/printable.js';

it.each([
  ['Ada', 'Ada'],
  ['Müller-Ørsted Ÿ Š œ € “x” – …', 'Müller-Ørsted Ÿ Š œ € “x” – …'],
  ['Zoe\u0308', 'Zoë'],
  ['Kővári', 'Kovári'],
  ['Łukasz', '?ukasz'],
  ['ﬁsh', 'fish'],
  ['李 👩‍⚕️', '? ????'],
  ['a\tb\nc', 'a b c'],
  ['\u0000\u0085', '??'],
])('prints %j as %j', (text, printed) => {
  expect(printable(text)).toBe(printed);
});

it('leaves nothing that a standard font of PDF lacks, whatever the letter', () => {
  const font = new PDFDocument().font('Helvetica');
  // What the font lacks has no width in it.
  const isLacking = (letter: string) => font.widthOfString(letter) === 0;
  expect(isLacking('ő')).toBe(true);
  const all = Array.from({ length: 0x3000 }, (_, code) => String.fromCodePoint(code)).join('');
  const letters = [...new Set(Array.from(printable(all)))];
  expect(letters).toHaveLength(218);
  expect(letters.filter(isLacking)).toEqual([]);
});
