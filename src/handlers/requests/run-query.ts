import { isRunId } from '../../runs/records/run-id.js';
import { type FieldError, ServiceError } from '../../lib/errors/service-error.js';
import { readLimit, readSince, readStatuses, TAKES } from '../../runs/run-filter.js';
import type { RunFilter } from '../../runs/records/history.js';

const DEFAULT_LIMIT = 50;
const FILTERS = new Set(['job', 'status', 'since', 'q', 'before', 'limit']);

/** A query string as Express reads it. */
export type Query = Readonly<Record<string, unknown>>;

/**
 * GET /runs' filters: `job`, `status` (several with commas), `since` (an ISO 8601 time, or how long ago: 90s, 12h, 30d), `q`
 * (part of the job's name or of the error's message), `before` (a run's id: where the last page ended), `limit`.
 * @throws {ServiceError} 400, naming every filter that is wrong and what it takes
 */
export function readRunFilter(query: Query): RunFilter {
  // A filter that is misspelt would show every run as one that fits.
  const errors: FieldError[] = Object.keys(query)
    .filter((path) => !FILTERS.has(path))
    .map((path) => ({ path, message: `is no filter: there are ${[...FILTERS].join(', ')}` }));
  const read = <T>(path: string, convert: (text: string) => T | undefined, takes: string): T | undefined => {
    const text = query[path];
    if (text === undefined || text === '') return undefined;
    const value = typeof text === 'string' ? convert(text) : undefined;
    if (value === undefined) errors.push({ path, message: `takes ${takes}` });
    return value;
  };
  const filter = {
    jobName: read('job', shortText, "a job's name, of up to 200 characters"),
    statuses: read('status', readStatuses, TAKES.status),
    since: read('since', readSince, TAKES.since),
    text: read('q', shortText, 'up to 200 characters'),
    before: read('before', (text) => (isRunId(text) ? text : undefined), "a run's id"),
    limit: read('limit', readLimit, TAKES.limit) ?? DEFAULT_LIMIT,
  };
  if (errors.length > 0) throw new ServiceError(400, 'The filter does not fit.', { errors });
  return filter;
}

/** Postgres takes no NUL in a text. */
const shortText = (text: string): string | undefined => (text.length <= 200 && !text.includes('\0') ? text : undefined);

/** The same query with some parts changed, for the address of another page. */
export function filterQuery(query: Query, changes: Readonly<Record<string, string>>): URLSearchParams {
  const kept = Object.entries(query).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return new URLSearchParams({ ...Object.fromEntries(kept), ...changes });
}
