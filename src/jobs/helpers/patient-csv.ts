import { z } from 'zod';
import { CsvFault, type CsvRow } from '@commons/backend/lib/read-csv.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

/** What a message says where a cell is wrong, or empty; never what it holds. */
const or = (what: string) => ({ error: ({ input }: { input?: unknown }) => (input === null ? 'is missing' : what) });

const name = z.string('is missing').max(100, 'is longer than 100 characters').regex(/^[^\p{Cc}\uFFFD]*$/u, 'has control characters, or bytes that are no UTF-8');

/** A row's cells, white space at their ends taken off, and null where they are empty. Columns that the CSV has not got are left out. */
const Patient = z.object({
  externalId: name,
  firstName: name,
  lastName: name,
  birthDate: z.iso
    .date({ ...or('is no date such as 1980-01-31'), abort: true })
    .refine((date) => date >= '1900-01-01' && date <= new Date().toISOString().slice(0, 10), 'lies before 1900, or in the future'),
  email: z.email('is no e-mail address').max(254, 'is longer than 254 characters').toLowerCase().nullable().optional(),
  phone: z.string().regex(/^\+?[\d\s().-]{7,25}$/, 'is no phone number').nullable().optional(),
  zipCode: z.string().regex(/^\d{5}$/, 'is no ZIP code of five digits').nullable().optional(),
});

export type CsvPatient = z.infer<typeof Patient>;

const COLUMNS = Object.keys(Patient.shape);
const REQUIRED = ['externalId', 'firstName', 'lastName', 'birthDate'];

/** A row of the CSV, by the line in which it begins. */
export interface PatientRow {
  readonly line: number;
  readonly patient: CsvPatient;
}

/** A row that is no patient, or has the externalId of one before it. */
export interface RefusedRow {
  readonly line: number;
  readonly kind: 'invalid' | 'duplicates';
  /** It holds nothing of the row's cells. */
  readonly reason: string;
}

/** Rows at most: the externalIds of all of them are held in memory, about 100 bytes each. */
const MOST_ROWS = 1_000_000;

/**
 * The rows of a CSV below its header.
 * @returns the rows, and what ended them before the CSV's end: that is not thrown, so that the rows before it are processed.
 * They throw {StatusError} 422 when the header is missing or wrong, before any row; and whatever `csv` throws
 */
export function readPatients(csv: AsyncIterable<CsvRow>): { rows: AsyncGenerator<PatientRow | RefusedRow>; fault: () => string | undefined } {
  let fault: string | undefined;

  async function* rows(): AsyncGenerator<PatientRow | RefusedRow> {
    const lines = new Map<string, number>();
    let columns: readonly string[] | undefined;
    let count = 0;
    try {
      for await (const { line, cells } of csv) {
        if (!columns) columns = checkHeader(cells);
        else if (++count > MOST_ROWS) return void (fault = `Line ${line}: a CSV may have ${MOST_ROWS} rows at most; split it.`);
        else yield parseRow(line, columns, cells, lines);
      }
    } catch (error) {
      if (!(error instanceof CsvFault)) throw error;
      fault = `${error.message}.`;
    }
    if (!columns && !fault) throw new StatusError(422, 'The CSV is empty: its first row must be the header');
  }
  return { rows: rows(), fault: () => fault };
}

/** @throws {StatusError} 422 that names unknown columns by their places: where there is no header, its cells are a patient's */
function checkHeader(cells: readonly string[]): readonly string[] {
  const columns = cells.map((cell) => cell.trim());
  const missing = REQUIRED.filter((column) => !columns.includes(column));
  const firsts = new Map(columns.map((column, place) => [column, place] as const).toReversed());
  const wrong = columns.flatMap((column, place) => (COLUMNS.includes(column) && firsts.get(column) === place ? [] : [place + 1]));
  if (missing.length === 0 && wrong.length === 0) return columns;
  const faults = [
    ...(missing.length > 0 ? [`lacks ${missing.join(', ')}`] : []),
    ...(wrong.length > 0 ? [`has unknown or repeated columns (by their number: ${wrong.join(', ')})`] : []),
  ];
  throw new StatusError(422, `The header ${faults.join(', and ')}. It must name ${REQUIRED.join(', ')}; it may name email, phone, zipCode; nothing else.`);
}

/** @param lines the line of each externalId that was read; the row's own is added */
function parseRow(line: number, columns: readonly string[], cells: readonly string[], lines: Map<string, number>): PatientRow | RefusedRow {
  if (cells.length !== columns.length) return { line, kind: 'invalid', reason: `has ${cells.length} cells, and the header ${columns.length}` };
  const values = cells.map((cell) => cell.replaceAll(/\s+/g, ' ').trim() || null);
  const { data: patient, error } = Patient.safeParse(Object.fromEntries(columns.map((column, place) => [column, values[place]])));
  if (error) return { line, kind: 'invalid', reason: error.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; ') };
  const first = lines.get(patient.externalId);
  if (first !== undefined) return { line, kind: 'duplicates', reason: `externalId is the same as in line ${first}` };
  lines.set(patient.externalId, line);
  return { line, patient };
}
