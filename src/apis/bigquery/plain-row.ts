import { BigQueryError } from './bigquery-error.js';

/** A row as Google's client gives it, with plain values in place of its own classes. See streamResults. */
export const plainRow = (row: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plain(value, column)]));

/** @throws {BigQueryError} for an integer that no number holds exactly, by its column and not by its value */
function plain(value: unknown, column: string): unknown {
  if (typeof value === 'bigint') {
    throw new BigQueryError(`The column ${column} holds an INT64 that is too large for a number. Select CAST(${column} AS STRING).`, undefined, undefined);
  }
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map((item) => plain(item, column));
  if (Object.getPrototypeOf(value) === Object.prototype) return plainRow(value as Record<string, unknown>);
  // BigQueryRange, then Big of big.js (NUMERIC), then BigQueryDate and the like, all with the text that BigQuery wrote.
  if ('apiValue' in value) return value.apiValue;
  if ('toFixed' in value) return (value as { toFixed(): string }).toFixed();
  return 'value' in value ? value.value : value;
}
