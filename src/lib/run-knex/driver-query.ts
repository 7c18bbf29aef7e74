import type pg from 'pg';
import type { DriverQuery } from './pg-internals.js';

export type Callback = (error: Error | null, result?: unknown) => void;
export type QueryConfig = Partial<pg.QueryConfig> & { callback?: Callback };

/** Whether it brings its own protocol: a cursor, a COPY stream. */
export const isSubmittable = (config: unknown): config is DriverQuery => typeof (config as Partial<DriverQuery>).submit === 'function';

export const textOf = (query: DriverQuery): string => query.text ?? query.cursor?.text ?? '';

/** The caller's config may be frozen, or have getters; it is never changed. */
export function ownCopy(config: string | QueryConfig, values: unknown): QueryConfig {
  if (typeof config === 'string') return { text: config, values: values as unknown[] };
  const own = (value: unknown) => ({ value, writable: true, enumerable: true, configurable: true });
  return Object.create(config, { text: own(config.text), values: own(values ?? config.values), callback: own(undefined) }) as QueryConfig;
}
