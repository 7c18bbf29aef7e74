import PDFDocument from 'pdfkit';
import { normalForm } from '../../lib/text/normal-form.js';
import { printable } from './printable.js';
import type { RosterRow, RosterWriter } from './roster.js';

/** Letter, landscape; all lengths in points. */
const PAGE = { width: 792, height: 612, margin: 36 };
const LINE_HEIGHT = 14;
const FIRST_LINE = 96;
const LAST_LINE = PAGE.height - 60;
const FOOTER = PAGE.height - 36;

const CELLS: readonly { readonly title: string; readonly width: number; readonly text: (row: RosterRow) => string }[] = [
  { title: 'Name', width: 170, text: ({ lastName, firstName }) => `${lastName}, ${firstName}` },
  { title: 'Born', width: 62, text: ({ birthDate }) => birthDate },
  { title: 'Phone', width: 84, text: ({ phone }) => phone },
  { title: 'E-mail', width: 158, text: ({ email }) => email },
  { title: 'ZIP', width: 40, text: ({ zipCode }) => zipCode },
  { title: 'Market', width: 82, text: ({ market }) => market },
  { title: 'Status', width: 60, text: ({ status }) => status },
  { title: 'Record', width: 64, text: ({ externalId, id }) => externalId || id.slice(-12) },
];

/** What stands at the head of every page. */
export interface RosterHeading {
  readonly title: string;
  readonly generatedAt: Date;
}

/**
 * The roster as a PDF to read and to print, each page marked confidential and numbered. A page leaves as soon as it is full.
 * The fonts that every PDF reader has know Western European letters alone: names with others are printed as near as can be,
 * marked with an asterisk, and counted.
 */
export class RosterPdf implements RosterWriter {
  readonly contentType = 'application/pdf';
  approximated = 0;
  readonly #heading: RosterHeading;
  readonly #document: PDFKit.PDFDocument;
  #pages = 0;
  #line = LAST_LINE;

  constructor(heading: RosterHeading) {
    this.#heading = heading;
    this.#document = new PDFDocument({
      size: [PAGE.width, PAGE.height],
      margin: PAGE.margin,
      // The first page comes with the first row, and none is kept to be gone back to.
      autoFirstPage: false,
      bufferPages: false,
      info: { Title: printable(heading.title), CreationDate: heading.generatedAt },
    });
  }

  add(row: RosterRow): void {
    const texts = CELLS.map(({ text }) => text(row));
    const printed = texts.map(printable);
    if (printed.some((text, cell) => text !== normalForm(texts[cell]!, 'NFC'))) {
      this.approximated++;
      printed[0] = `* ${printed[0]}`;
    }
    if (this.#line >= LAST_LINE) this.#startPage();
    this.#writeLine(printed);
  }

  take(): Uint8Array {
    // pdfkit pushes what it has made without asking whether anybody reads it; so it is read here, page after page.
    return (this.#document.read() as Uint8Array | null) ?? new Uint8Array();
  }

  end(): Uint8Array {
    if (this.#pages === 0) this.#startPage();
    this.#document.end();
    return this.take();
  }

  #startPage(): void {
    const { title, generatedAt } = this.#heading;
    this.#document.addPage();
    this.#pages++;
    this.#document.font('Helvetica-Bold').fontSize(9);
    this.#text('CONFIDENTIAL: contains patients\' personal data', PAGE.margin, 30);
    this.#document.fontSize(14);
    this.#text(printable(title), PAGE.margin, 46);
    this.#document.font('Helvetica').fontSize(8);
    this.#text(`As of ${generatedAt.toISOString()}`, PAGE.margin, 64);
    this.#text('* Some letters of this record are not in this document\'s font; see the record itself.', PAGE.margin, FOOTER);
    this.#text(`Page ${this.#pages}`, PAGE.width - PAGE.margin - 60, FOOTER);
    this.#document.font('Helvetica-Bold');
    this.#line = FIRST_LINE - LINE_HEIGHT;
    this.#writeLine(CELLS.map((cell) => cell.title));
    this.#document.font('Helvetica');
  }

  #writeLine(texts: readonly string[]): void {
    let left = PAGE.margin;
    for (const [cell, { width }] of CELLS.entries()) {
      this.#text(this.#fit(texts[cell]!, width - 6), left, this.#line);
      left += width;
    }
    this.#line += LINE_HEIGHT;
  }

  /** `text`, cut to `width` with an ellipsis where it is longer. */
  #fit(text: string, width: number): string {
    if (this.#document.widthOfString(text) <= width) return text;
    let end = Math.min(text.length, 200);
    while (end > 0 && this.#document.widthOfString(`${text.slice(0, end)}…`) > width) end--;
    return `${text.slice(0, end)}…`;
  }

  #text(text: string, left: number, top: number): void {
    this.#document.text(text, left, top, { lineBreak: false });
  }
}
