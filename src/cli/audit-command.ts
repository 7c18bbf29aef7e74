import type { SourceTree } from '../lib/job-files/source-tree.js';
import { type AuditEvent, listAuditEvents, recordAuditEvent } from '../runs/records/audit-event.js';
import type { AuditOptions } from './audit-options.js';
import { cliOrigin } from './cli-origin.js';
import { withDatabase } from './open-database.js';
import { readableTime, table } from './readable.js';
import { writeJson, writeResult } from './result-stream.js';

/** Prints the audit trail, newest first. Whoever reads it is in it. */
export async function auditCommand(source: SourceTree, { caller, action, outcome, run: runId, before, limit, json }: AuditOptions): Promise<void> {
  const events = await withDatabase(source, async () => {
    await recordAuditEvent({ ...cliOrigin(), action: 'audit', outcome: 'allowed' });
    return listAuditEvents({ caller, action, outcome, runId, before, limit });
  });
  if (json) writeJson({ value: events });
  else writeResult(table(['AT', 'ACTION', 'OUTCOME', 'CALLER', 'SOURCE', 'JOB', 'RUN', 'REASON'], events.map(row)));
}

const row = ({ at, action, outcome, caller, isVerified, source, jobName, runId, status, reason }: AuditEvent): string[] => [
  readableTime(at),
  action,
  outcome,
  caller === null ? '-' : isVerified ? caller : `${caller} (not verified)`,
  source ?? '-',
  jobName ?? '-',
  runId ?? '-',
  reason === null ? '' : `${status} ${reason}`,
];
