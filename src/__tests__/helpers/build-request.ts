import type { Request } from 'express';

/** As much of a request as a job's default export looks at. */
export const buildRequest = (body: unknown): Request => ({ body }) as Request;
