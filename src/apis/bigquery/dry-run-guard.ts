import { AsyncLocalStorage } from 'node:async_hooks';
import type { BigQuery } from '@google-cloud/bigquery';
import { tryCurrentRun } from '../../lib/run-scope.js';
import { ServiceError } from '../../lib/errors/service-error.js';

/** A dry run was about to change something in BigQuery. Its status is 500: the fault is the job's, not its caller's. */
export class DryRunQuery extends ServiceError {
  override readonly name = 'DryRunQuery';

  /** @param what such as `a DELETE in BigQuery` */
  constructor(what: string) {
    super(500, `A dry run may not write, and the job tried ${what}. Let the job leave it out when isDryRun is set.`);
  }
}

/** What Google's client is about to send. */
interface RequestOptions {
  readonly method?: string;
  readonly uri?: string;
  readonly json?: { readonly configuration?: { readonly dryRun?: boolean } };
}

const checked = new AsyncLocalStorage<true>();

/** Lets `send` send a query from a dry run: it is known to read only. */
export const asChecked = <T>(send: () => T): T => checked.run(true, send);

/** Has `client` refuse, in a dry run, every request that may change something. All its requests pass through one function. */
export function guardDryRuns(client: BigQuery): void {
  const send = client.makeAuthenticatedRequest.bind(client) as (...args: unknown[]) => unknown;
  const guarded = (request: RequestOptions, ...rest: unknown[]): unknown => {
    if (tryCurrentRun()?.isDryRun && mayWrite(request)) throw new DryRunQuery('a request to BigQuery that may write; getResults and streamResults read');
    return send(request, ...rest);
  };
  client.makeAuthenticatedRequest = Object.assign(guarded, client.makeAuthenticatedRequest) as typeof client.makeAuthenticatedRequest;
}

function mayWrite({ method = 'GET', uri = '', json }: RequestOptions): boolean {
  if (method === 'GET' || method === 'HEAD' || json?.configuration?.dryRun === true) return false;
  return checked.getStore() !== true && !/\/jobs\/[^/]+\/cancel$/.test(uri);
}
