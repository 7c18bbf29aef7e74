import { createApp } from '@commons/backend/app.js';
import { type Route, routesOf } from './routes-of.js';

export type { Route };

/** The service's own route table, so that a new route is tortured like all others. Nothing is started. */
export const routeTable = (): Route[] =>
  routesOf(() =>
    createApp({
      registry: { find: () => undefined, list: () => [], faults: () => [] },
      bodyLimit: 1,
      whyNotReady: async () => undefined,
      authenticate: () => Promise.reject(new Error('nobody calls')),
      isLocal: true,
      whyFull: () => undefined,
      trustedProxies: 0,
    }),
  );

/** The address of a route for a job and a run. */
export const addressOf = ({ path }: Pick<Route, 'path'>, slug: string, runId: string): string => path.replace(':slug', slug).replace(':id', runId);
