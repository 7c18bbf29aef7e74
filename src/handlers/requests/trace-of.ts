import type { Request } from 'express';

/**
 * The id of the trace that the request belongs to: W3C's traceparent, or Google Cloud's older header
 * (https://cloud.google.com/trace/docs/trace-context), else undefined.
 */
export function traceOf({ headers }: Request): string | undefined {
  const w3c = headers.traceparent;
  if (typeof w3c === 'string') return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(w3c)?.[1];
  const google = headers['x-cloud-trace-context'];
  return typeof google === 'string' ? /^([0-9a-f]{32})(?:\/|$)/i.exec(google)?.[1]?.toLowerCase() : undefined;
}
