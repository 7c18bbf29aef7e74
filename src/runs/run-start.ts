import type { JSONData } from '../jobs/helpers.js';
import type { Requester } from '../lib/auth/requester.js';
import type { LogLine } from '../lib/run-scope.js';
import type { KeptBody } from './kept-body.js';
import type { Delivery, RunTrigger } from './records/new-run.js';

/** What a run starts with; all of it is optional. */
export interface RunStart {
  readonly trigger?: RunTrigger | undefined;
  /** The run's id, for a caller that has used it before; default: a new one. */
  readonly id?: string | undefined;
  readonly body?: unknown;
  /** What is kept of the body; default: all of it, but for fields named like secrets. */
  readonly kept?: KeptBody | undefined;
  /** Lines that were logged before the run was on record, for its log. */
  readonly lines?: readonly LogLine[] | undefined;
  /** Who asks for it; undefined for what the service or a job starts by itself. */
  readonly by?: Requester | undefined;
  /** What they ask for, in the words of the audit trail: it gets an entry where there is one. */
  readonly action?: 'run' | 'rehearse' | 'retry' | 'resume' | undefined;
  /** Whatever is started in a dry run is one too. */
  readonly isDryRun?: boolean | undefined;
  /** Default: RUN_TIMEOUT. */
  readonly timeoutMs?: number | undefined;
  readonly trace?: string | undefined;
  readonly delivery?: Delivery | undefined;
  /** Not beside another run of the job: the one that finds one active is `skipped`. A dry run is never, since it changes nothing. */
  readonly overlap?: 'allow' | 'skip' | undefined;
  /** How what it writes is counted; default: by the answers to its statements. */
  readonly countWrites?: 'exact' | undefined;
  /** Not a new run, but the next attempt of this one, after `attempt`: from its cursor on, or anew. */
  readonly restart?: { readonly id: string; readonly attempt: number; readonly keepCursor: boolean } | undefined;
  /** Just the items with these keys. */
  readonly onlyKeys?: readonly JSONData[] | undefined;
  /** The run it belongs to; default: the one it is started in. */
  readonly parentRunId?: string | undefined;
}
