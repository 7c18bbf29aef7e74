import { csvLine } from '../lib/csv.js';
import type { FailureRow } from './records/failures.js';

/** The failed items of a run as CSV, with a header. */
export function failuresCsv(failures: readonly FailureRow[]): string {
  const rows = failures.map(({ key, message, fingerprint, at }) => csvLine([JSON.stringify(key), message, fingerprint, at.toISOString()]));
  return [csvLine(['key', 'message', 'fingerprint', 'at']), ...rows].join('');
}
