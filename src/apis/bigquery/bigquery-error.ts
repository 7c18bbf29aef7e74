/** BigQuery refused a query, or failed at it. */
export class BigQueryError extends Error {
  override readonly name = 'BigQueryError';

  constructor(
    message: string,
    /** A reason of https://cloud.google.com/bigquery/docs/error-messages, such as 'invalidQuery' or 'accessDenied'. */
    readonly reason: string | undefined,
    /** HTTP's status. */
    readonly code: number | undefined,
  ) {
    super(message);
  }
}

interface ApiError extends Error {
  code?: unknown;
  errors?: readonly { reason?: string; message?: string }[];
}

/**
 * What Google's client threw, as an error that can be logged. Theirs has the request with it, and of a value that does not
 * fit BigQuery says which ("Bad int64 value: ..."): what such a message quotes is left out, and the job has it in full.
 * @param jobId BigQuery's own job, where there is one
 */
export function bigQueryErrorOf(thrown: unknown, jobId: string | undefined): unknown {
  if (!(thrown instanceof Error) || !('errors' in thrown || 'response' in thrown)) return thrown;
  const { code, errors } = thrown as ApiError;
  const { reason, message = thrown.message } = errors?.[0] ?? {};
  const said = QUOTING.has(reason ?? '') ? withoutQuotes(message) : message;
  const job = jobId === undefined ? '' : ` BigQuery has the details with its job ${jobId}.`;
  return new BigQueryError(`BigQuery: ${said}${reason ? ` (${reason})` : ''}.${job}`, reason, typeof code === 'number' ? code : undefined);
}

const QUOTING = new Set(['invalid', 'invalidQuery']);

/** 'Bad int64 value: 12x at [3:7]' is 'Bad int64 value at [3:7]'. */
function withoutQuotes(message: string): string {
  const [, kind = ''] = /^([\w ]+)/.exec(message) ?? [];
  const [at = ''] = / at \[\d+:\d+\]/.exec(message) ?? [];
  return `${kind.trim() || 'the query is not valid'}${at}`;
}
