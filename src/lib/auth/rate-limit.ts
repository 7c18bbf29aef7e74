import { parseDuration } from '../text/duration.js';

/** So many requests of one caller in so many ms. */
export interface RateLimit {
  readonly requests: number;
  readonly windowMs: number;
}

/** '600/1m': a number of requests and a duration. @throws {RangeError} saying what is allowed */
export function parseRateLimit(text: string): RateLimit {
  const [, requests, window] = /^(\d{1,7})\/(\S+)$/.exec(text.trim()) ?? [];
  if (!(Number(requests) >= 1)) throw new RangeError(`'${text}' is no rate: write a number of requests and a duration, such as 600/1m`);
  return { requests: Number(requests), windowMs: parseDuration(window!) };
}
