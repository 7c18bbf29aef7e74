import type { Request } from 'express';

/**
 * What a job's default export is called with, for a unit test: a POST with `body` and nothing else. `overrides` add what the job
 * reads besides. Whatever else Express would put on a request is not there.
 */
export const buildRequest = (body: unknown = {}, overrides: Partial<Request> = {}): Request =>
  ({ method: 'POST', headers: {}, params: {}, query: {}, body, ...overrides }) as Request;
