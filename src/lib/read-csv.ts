import { pipeline, Readable } from 'node:stream';
import { parse } from 'csv-parse';

/** A row of a CSV. */
export interface CsvRow {
  /** The line that it begins in, from 1 on. Cells may hold line ends, so it is not the row's number. */
  readonly line: number;
  readonly cells: readonly string[];
}

/** The bytes are no CSV from some line on. It quotes nothing of them. */
export class CsvFault extends Error {
  override readonly name = 'CsvFault';

  constructor(
    readonly line: number,
    readonly what: string,
  ) {
    super(`Line ${line}: ${what}`);
  }
}

/** Characters that a row may have. A quotation mark that is never closed would have the whole rest read as one cell. */
const MOST_ROW_CHARS = 100_000;

/**
 * The rows of a CSV (RFC 4180) in UTF-8, as the bytes come in; empty lines are passed over. A byte order mark is taken off,
 * and line ends, also those in cells, become \n. Rows may have different numbers of cells, and bytes that are no UTF-8 come
 * as U+FFFD: that is for the caller to judge.
 * @throws {CsvFault} at a quotation mark that is not closed, or stands inside a cell: what follows could only be guessed.
 * All rows before it have come by then. And whatever `bytes` throws
 */
export async function* readCsv(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<CsvRow> {
  let next = 1;
  let fault: CsvFault | undefined;
  const parser = parse({
    record_delimiter: '\n',
    relax_column_count: true,
    max_record_size: MOST_ROW_CHARS,
    on_record(cells, { lines }) {
      const line = next;
      next = lines + 1;
      return fault || (cells.length === 1 && cells[0] === '') ? null : [String(line), ...cells];
    },
    // Not thrown here: that would end the stream at once, and lose the rows before it that wait to be read.
    skip_records_with_error: true,
    on_skip(error) {
      // Without the parser's error as its cause, which quotes a cell.
      fault ??= new CsvFault(next, FAULTS[error?.code ?? ''] ?? 'no CSV');
    },
  });
  // What `bytes` throws ends the parser, and is thrown from there; leaving off early ends `bytes`.
  pipeline(Readable.from(untilFault(plainText(bytes), () => fault)), parser, () => undefined);
  for await (const [line, ...cells] of parser as AsyncIterable<string[]>) yield { line: Number(line), cells };
  if (fault) throw fault;
}

async function* untilFault(texts: AsyncIterable<string>, fault: () => CsvFault | undefined): AsyncGenerator<string> {
  for await (const text of texts) {
    yield text;
    if (fault()) return;
  }
}

const BROKEN_QUOTE = 'a quotation mark is not closed, or stands inside a cell (where it must be doubled, and the cell be quoted)';
const FAULTS: Partial<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: BROKEN_QUOTE,
  CSV_INVALID_CLOSING_QUOTE: BROKEN_QUOTE,
  INVALID_OPENING_QUOTE: BROKEN_QUOTE,
  CSV_MAX_RECORD_SIZE: `the row has more than ${MOST_ROW_CHARS} characters: probably ${BROKEN_QUOTE}`,
};

/** The parser takes one kind of line end; in cells, it would count \r\n as two lines. */
async function* plainText(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of bytes) {
    const text = held + decoder.decode(chunk, { stream: true });
    // What comes next may be its \n.
    held = text.endsWith('\r') ? '\r' : '';
    if (text.length > held.length) yield text.slice(0, text.length - held.length).replaceAll(/\r\n?/g, '\n');
  }
  const rest = held + decoder.decode();
  if (rest !== '') yield rest.replaceAll(/\r\n?/g, '\n');
}
