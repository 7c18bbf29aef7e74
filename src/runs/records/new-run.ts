import type { AuditedAct } from './audit-event.js';

/** Who or what started a run. */
export type RunTrigger = 'http' | 'scheduler' | 'schedule' | 'cli' | 'dashboard' | 'queue' | 'run';

/** One delivery of a scheduler's, told apart from the next by its key. The same key never runs twice at once. */
export interface Delivery {
  readonly key: string;
  readonly scheduledFor: Date;
  /** What the scheduler calls its job; it should be the slug. */
  readonly schedulerJobName: string;
}

/** A run's row as it is when the run starts: what every claim of a run writes, whether it makes the row or takes one that is there. */
export interface NewRun {
  /** Made for this claim alone, so that a claim whose answer was lost is found by it. A row that is taken keeps its own id. */
  readonly id: string;
  readonly jobName: string;
  readonly trigger: RunTrigger;
  readonly isDryRun: boolean;
  /** JSON text that Postgres takes (see toStorableJson), or undefined for none. */
  readonly body?: string | undefined;
  /** Something was taken out of the body; and the whole of it, encrypted, where there is a key. */
  readonly isBodyRedacted?: boolean;
  readonly sealedBody?: Buffer | undefined;
  readonly requestedBy?: string | undefined;
  readonly parentRunId?: string | undefined;
  /** JSON text of the keys that it is to keep to, or undefined for all. */
  readonly onlyKeys?: string | undefined;
  readonly delivery?: Delivery | undefined;
  /** It may not run beside another run of its job. */
  readonly isAlone?: boolean;
  /** For the audit trail, which is written with the row. */
  readonly audit?: AuditedAct | undefined;
}
