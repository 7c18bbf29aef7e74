import type { BigQuery } from '@google-cloud/bigquery';
import { StatusError } from '../../jobs/helpers.js';
import { envConfig } from '../../lib/env-config.js';
import { guardDryRuns } from './dry-run-guard.js';
import { type Query, readPages } from './read-pages.js';

export { BigQueryError } from './bigquery-error.js';
export { DryRunQuery } from './dry-run-guard.js';
export type { Query } from './read-pages.js';

let client: Promise<BigQuery> | undefined;

/**
 * Google's own client, for BIGQUERY_PROJECT and with the credentials at hand
 * (https://cloud.google.com/docs/authentication/application-default-credentials). In a dry run it refuses what is not
 * reading: of queries, it takes those of getResults and streamResults alone, which are checked.
 * @throws {StatusError} 500 without a project
 */
export async function getBigQueryClient(): Promise<BigQuery> {
  const { bigqueryProject: projectId, bigqueryEndpoint: apiEndpoint } = envConfig();
  if (projectId === undefined) {
    throw new StatusError(500, 'BigQuery has no project to ask. Set BIGQUERY_PROJECT (or GOOGLE_CLOUD_PROJECT) in the environment of the service.');
  }
  return (client ??= connect(projectId, apiEndpoint));
}

/** All rows at once: for results that are known to be small. See streamResults. */
export async function getResults<Row>(query: string, params?: Query['params'], types?: Query['types']): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of streamResults<Row>({ query, ...(params && { params }), ...(types && { types }) })) rows.push(row);
  return rows;
}

/**
 * The rows of a query's result, page by page as they are asked for: one page is in memory, however many there are. Google's
 * client repeats a request after 408, 429, a 5xx or a broken connection. When the run is stopped, the query is cancelled.
 *
 * Values are plain. INT64 and FLOAT64 are numbers; an INT64 that no number holds exactly is refused, so cast it to STRING.
 * NUMERIC and BIGNUMERIC are strings with all their digits. DATE, TIME, DATETIME and TIMESTAMP are strings as BigQuery
 * writes them (a TIMESTAMP in UTC, ending in Z), and so are JSON, GEOGRAPHY, INTERVAL and RANGE. BYTES are a Buffer, an ARRAY
 * is an array, a STRUCT an object.
 *
 * A dry run reads, and refuses any statement that BigQuery does not call a SELECT, before it is executed.
 * @throws {BigQueryError} with the `reason`
 * @throws {DryRunQuery} in a dry run, for what is no SELECT
 * @throws {StatusError} 500 without a project; and whatever the run was stopped with
 */
export async function* streamResults<Row>(query: Query): AsyncGenerator<Row, void, undefined> {
  yield* readPages<Row>(await getBigQueryClient(), query);
}

/** The client is large, and most runs need none. */
async function connect(projectId: string, apiEndpoint: string | undefined): Promise<BigQuery> {
  const { BigQuery } = await import('@google-cloud/bigquery');
  const opened = new BigQuery({ projectId, ...(apiEndpoint && { apiEndpoint }), ...(apiEndpoint?.startsWith('http:') && { authClient: ANONYMOUS }) });
  guardDryRuns(opened);
  return opened;
}

type AuthClient = NonNullable<NonNullable<ConstructorParameters<typeof BigQuery>[0]>['authClient']>;

/** No credentials go to an address without encryption; an emulator wants none. What Google's clients ask of one is this method. */
const ANONYMOUS = { getRequestHeaders: async () => new Headers() } as unknown as AuthClient;
