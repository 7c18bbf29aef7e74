import { csvLine } from '@commons/backend/lib/csv.js';
import { ROSTER_COLUMNS, type RosterRow, type RosterWriter } from './roster.js';

/** The roster as CSV (RFC 4180), in UTF-8, with the columns' names in its first line. No cell is a formula to a spreadsheet. */
export class RosterCsv implements RosterWriter {
  readonly contentType = 'text/csv; charset=utf-8';
  readonly approximated = 0;
  #text = csvLine(ROSTER_COLUMNS);

  add(row: RosterRow): void {
    this.#text += csvLine(ROSTER_COLUMNS.map((column) => row[column]));
  }

  take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }

  end(): string {
    return this.take();
  }
}
