import { createApp } from '@commons/backend/app.js';

export interface Route {
  /** GET, POST, ... */
  readonly method: string;
  /** As Express has it: /jobs/:slug. */
  readonly path: string;
}

/** The service's own route table, so that a new route is tortured like all others. Nothing is started. */
export function routeTable(): Route[] {
  const app = createApp({
    registry: { find: () => undefined, list: () => [], faults: () => [] },
    bodyLimit: 1,
    whyNotReady: async () => undefined,
    authenticate: () => Promise.reject(new Error('nobody calls')),
    isLocal: true,
    whyFull: () => undefined,
    trustedProxies: 0,
  });
  const { stack } = app.router as unknown as { stack: { route?: { path: string; methods: Record<string, boolean> } }[] };
  return stack.flatMap(({ route }) => (route ? Object.keys(route.methods).map((method) => ({ method: method.toUpperCase(), path: route.path })) : []));
}

/** The address of a route for a job and a run. */
export const addressOf = ({ path }: Pick<Route, 'path'>, slug: string, runId: string): string => path.replace(':slug', slug).replace(':id', runId);
