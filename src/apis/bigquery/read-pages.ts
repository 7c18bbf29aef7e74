import type { BigQuery, Query as GoogleQuery } from '@google-cloud/bigquery';
import { tryCurrentRun } from '../../lib/run-scope.js';
import { untilStopped } from '../../lib/process/until-stopped.js';
import { bigQueryErrorOf } from './bigquery-error.js';
import { asChecked, DryRunQuery } from './dry-run-guard.js';
import { plainRow } from './plain-row.js';

export interface Query {
  /** GoogleSQL, with @name for named parameters or ? for positional ones. */
  query: string;
  /** By name, or in order. A Date is a TIMESTAMP. */
  params?: Readonly<Record<string, unknown>> | readonly unknown[];
  /** The types of parameters that are null or an empty list, such as { since: 'DATE', ids: ['INT64'] }. */
  types?: Readonly<Record<string, string | string[]>> | readonly (string | string[])[];
}

/** Rows of a page: few enough for memory, and enough to make a request worth its time. BigQuery sends fewer where they are large. */
const PAGE = 10_000;

/** See streamResults. */
export async function* readPages<Row>(client: BigQuery, query: Query): AsyncGenerator<Row, void, undefined> {
  const { signal, isDryRun = false } = tryCurrentRun() ?? {};
  signal?.throwIfAborted();
  if (isDryRun) await refuseWrites(client, query, signal);
  const starting = asChecked(() => client.createQueryJob(query as GoogleQuery));
  let jobId: string | undefined;
  let isRunning = true;
  try {
    const [job] = await untilStopped(starting, signal);
    jobId = job.id;
    let pageToken: string | undefined;
    do {
      const options = { maxResults: PAGE, autoPaginate: false, wrapIntegers: EXACT_INTEGERS, ...(pageToken !== undefined && { pageToken }) };
      const [rows, next] = await untilStopped(job.getQueryResults(options), signal);
      // A query that still runs has no rows yet, and what comes next is the same question again.
      isRunning = next !== null && next?.pageToken === undefined;
      pageToken = next?.pageToken;
      for (const row of rows as Record<string, unknown>[]) yield plainRow(row) as Row;
      signal?.throwIfAborted();
    } while (isRunning || pageToken !== undefined);
  } catch (error) {
    signal?.throwIfAborted();
    throw bigQueryErrorOf(error, jobId);
  } finally {
    // Nobody waits for its rows any more. It may not even have been accepted yet.
    if (isRunning) starting.then(([job]) => job.cancel()).catch(() => undefined);
  }
}

/** Asks BigQuery what the statement is, which costs nothing and executes nothing. @throws {DryRunQuery} for what is no SELECT */
async function refuseWrites(client: BigQuery, query: Query, signal: AbortSignal | undefined): Promise<void> {
  const [, answer] = await untilStopped(client.createQueryJob({ ...query, dryRun: true } as GoogleQuery), signal).catch((error: unknown) => {
    throw bigQueryErrorOf(error, undefined);
  });
  const type = answer.statistics?.query?.statementType;
  if (type !== 'SELECT') throw new DryRunQuery(`a statement of type ${type ?? 'unknown'} in BigQuery`);
}

/** INT64 comes as text. What a number cannot hold exactly becomes a BigInt, which plainRow refuses by its column. */
const EXACT_INTEGERS = {
  integerTypeCastFunction: (text: string): number | bigint => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text)),
};
