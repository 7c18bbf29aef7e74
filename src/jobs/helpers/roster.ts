/** A patient as a roster shows one; an empty text where the record says nothing. */
export const ROSTER_COLUMNS = ['id', 'externalId', 'lastName', 'firstName', 'birthDate', 'phone', 'email', 'zipCode', 'market', 'status'] as const;

export type RosterRow = Readonly<Record<(typeof ROSTER_COLUMNS)[number], string>>;

/** What the database says of the same patient. birthDate is Postgres's text for it, so that no time zone can move it. */
export type RosterRecord = Readonly<Record<keyof RosterRow, string | null>>;

/** Makes a file of rows, piece by piece, and holds no more of it than was added since the last `take`. */
export interface RosterWriter {
  readonly contentType: string;
  /** Rows so far whose letters the file cannot hold and shows as near as can be. */
  readonly approximated: number;
  /** @throws {Error} when the row cannot be rendered; then nothing of it is in the file */
  add(row: RosterRow): void;
  /** What came about since the last call. */
  take(): string | Uint8Array;
  /** The rest of the file. */
  end(): string | Uint8Array;
}

/** @throws {Error} saying which field cannot be shown, and not what is in it */
export function rosterRow(record: RosterRecord): RosterRow {
  // Postgres also has 'infinity', and years before Christ.
  if (!/^\d{4}-\d{2}-\d{2}$/.test(record.birthDate ?? '')) throw new Error('birthDate is no day of the calendar');
  return Object.fromEntries(ROSTER_COLUMNS.map((column) => [column, record[column] ?? ''])) as RosterRow;
}
