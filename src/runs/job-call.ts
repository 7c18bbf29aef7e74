import type { Request } from 'express';
import type { RunStart } from './run-start.js';

/** Who asks for a run of a job, and with what. */
export interface JobCall extends Pick<RunStart, 'by' | 'action' | 'delivery' | 'restart' | 'onlyKeys' | 'parentRunId' | 'trace' | 'isDryRun'> {
  readonly trigger: NonNullable<RunStart['trigger']>;
  readonly body: unknown;
  /** The request that asks for it, where it is one; the job then gets it. Otherwise the job gets one that holds just the body. */
  readonly request?: Request | undefined;
}
