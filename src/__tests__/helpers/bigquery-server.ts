import type { ServerResponse } from 'node:http';
import { type LoopbackServer, type Received, startLoopbackServer } from './loopback-server.js';

/** A query as it came in: its text, and its parameters by name. */
export interface ReceivedQuery {
  readonly query: string;
  readonly params: Readonly<Record<string, string>>;
  readonly isDryRun: boolean;
}

/** Answers one page of a query's rows: the values of each as BigQuery writes them, all of them text. */
export type PagesOf = (query: ReceivedQuery) => { readonly fields: readonly { name: string; type: string }[]; readonly pages: readonly (readonly (string | null)[][])[] };

export interface BigQueryServer extends LoopbackServer {
  readonly queries: ReceivedQuery[];
  /** Sees each request for a page before it is answered; returns true when it has answered it itself. */
  interfere: (query: ReceivedQuery, page: number, res: ServerResponse) => boolean | void;
}

/** A real HTTP server for those REST calls that Google's client makes of a query (https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs). */
export async function startBigQueryServer(pagesOf: PagesOf): Promise<BigQueryServer> {
  const queries: ReceivedQuery[] = [];
  const byJob = new Map<string, ReceivedQuery>();
  const json = (res: ServerResponse, value: unknown) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));

  const server = await startLoopbackServer(({ method, url, body }: Received, res) => {
    if (url.pathname.endsWith('/cancel')) return json(res, {});
    if (method === 'POST') {
      const { jobReference, configuration } = JSON.parse(body);
      const params = configuration.query.queryParameters?.map(({ name, parameterValue }: { name: string; parameterValue: { value: string } }) => [name, parameterValue.value]) ?? [];
      const query: ReceivedQuery = { query: configuration.query.query, params: Object.fromEntries(params), isDryRun: configuration.dryRun === true };
      queries.push(query);
      byJob.set(jobReference?.jobId, query);
      return json(res, { jobReference, status: { state: 'DONE' }, statistics: { query: { statementType: 'SELECT' } } });
    }
    const query = byJob.get(url.pathname.split('/').at(-1)!)!;
    const page = Number(url.searchParams.get('pageToken') ?? 0);
    if (running.interfere(query, page, res)) return undefined;
    const { fields, pages } = pagesOf(query);
    const rows = (pages[page] ?? []).map((values) => ({ f: values.map((v) => ({ v })) }));
    return json(res, { jobComplete: true, schema: { fields }, rows, ...(page + 1 < pages.length && { pageToken: String(page + 1) }) });
  });
  const running: BigQueryServer = { ...server, queries, interfere: () => undefined };
  return running;
}
