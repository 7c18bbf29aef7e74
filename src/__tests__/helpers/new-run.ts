import { uuidv7 } from 'uuidv7';
import knex from '@commons/backend/lib/knex.js';
import type { Claiming } from '@commons/backend/runs/records/claim-row.js';

/** A run that asks for its place, as claimRow takes it: of the job no-op, over HTTP, but for what `overrides` say. */
export const newRun = (overrides: Partial<Claiming> = {}): Claiming => ({
  id: uuidv7(), jobName: 'no-op', trigger: 'http', isDryRun: false, seal: () => undefined, ...overrides,
});

/** A delivery whose key no other has. */
export const newDelivery = (key: string = uuidv7()) => ({ key, scheduledFor: new Date('2026-11-23T06:00:00Z'), schedulerJobName: 'nightly' });

/** The whole row of a run, column by column; undefined where there is none. */
export const rowOf = (id: string): Promise<Record<string, unknown> | undefined> => knex('batch_job_run').where({ id }).first('*');

/** What the audit trail says of a run. */
export const auditOf = (runId: string): Promise<Record<string, unknown>[]> => knex('audit_event').where({ runId }).orderBy('id').select('*');
