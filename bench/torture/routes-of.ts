import express, { type Express } from 'express';

export interface Route {
  /** GET, POST, ... */
  readonly method: string;
  /** As Express has it: /jobs/:slug. */
  readonly path: string;
}

interface Layer {
  readonly name?: string;
  readonly route?: { readonly path: unknown; readonly methods: Readonly<Record<string, boolean>> };
  readonly handle?: { readonly stack?: readonly Layer[] };
}

/** What `all` stands for. */
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/**
 * Every route of the app, those of its sub-routers too, each with its whole path.
 * @throws {Error} for what would hide a route: an app inside the app, a path that is no text
 */
export function routesOf(build: () => Express): Route[] {
  const mounts = new Map<Layer, string>();
  const { router } = recordingMounts(mounts, build) as unknown as { router: { stack: readonly Layer[] } };
  return routesIn(router.stack, '', mounts);
}

function routesIn(stack: readonly Layer[], prefix: string, mounts: ReadonlyMap<Layer, string>): Route[] {
  return stack.flatMap((layer): Route[] => {
    if (layer.name === 'mounted_app') throw new Error(`There is an app inside the app, below '${prefix}': its routes cannot be seen. Use a Router.`);
    if (layer.handle?.stack) return routesIn(layer.handle.stack, prefix + (mounts.get(layer) ?? ''), mounts);
    if (!layer.route) return [];
    const { path, methods } = layer.route;
    return [path].flat().flatMap((each) => Object.keys(methods).flatMap((method) => (method === '_all' ? METHODS : [method.toUpperCase()])).map((method) => ({ method, path: joined(prefix, each) })));
  });
}

const joined = (prefix: string, path: unknown): string => (path === '/' && prefix !== '' ? prefix : prefix + textOf(path));

function textOf(path: unknown): string {
  if (typeof path !== 'string') throw new Error(`The path ${String(path)} is no text, so nobody can tell which addresses it has.`);
  return path;
}

/** Express keeps no text of where a router is mounted, so it is noted down while the app is built. */
function recordingMounts<T>(mounts: Map<Layer, string>, build: () => T): T {
  const prototype = express.Router.prototype as { use: (this: { stack: Layer[] }, ...args: unknown[]) => unknown };
  const { use } = prototype;
  prototype.use = function (...args) {
    const before = this.stack.length;
    const result = use.apply(this, args);
    const first = args[0];
    const path = typeof first === 'function' || (Array.isArray(first) && first.every((each) => typeof each === 'function')) ? '/' : textOf(first);
    for (const layer of this.stack.slice(before)) mounts.set(layer, path.replace(/\/$/, ''));
    return result;
  };
  try {
    return build();
  } finally {
    prototype.use = use;
  }
}
