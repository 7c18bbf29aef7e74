import type pg from 'pg';
import type { Requester } from '../../lib/auth/requester.js';
import { envConfig } from '../../lib/env-config.js';
import logger from '../../lib/logging.js';
import { newRunId } from './run-id.js';
import { readPool, recorderPool } from '../../lib/database/service-pools.js';
import { toStorableText } from '../../lib/text/storable-text.js';
import { WriteBatcher } from '../../lib/database/write-batcher.js';

const TAG = 'audit';

/** What was asked for (run, rehearse, cancel, retry, resume, read, audit), and who asks. */
export interface AuditedAct extends Requester {
  readonly action: string;
}

export interface NewAuditEvent extends AuditedAct {
  readonly outcome: 'allowed' | 'denied';
  readonly jobName?: string | undefined;
  readonly runId?: string | undefined;
  /** The HTTP status of a refusal, and what was told. */
  readonly status?: number | undefined;
  readonly reason?: string | undefined;
}

const INSERT = `
  insert into audit_event (id, action, outcome, caller, "isVerified", source, "jobName", "runId", status, reason)
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::uuid[], $9::smallint[], $10::text[])
  on conflict (id) do nothing`;

const MOST_TEXT_BYTES = 500;
/** A text of an entry: it may be from a header. */
export const cleanAuditText = (text: string | undefined): string | null => (text === undefined ? null : toStorableText(text, MOST_TEXT_BYTES));

const events = new WriteBatcher<NewAuditEvent & { readonly id: string }, void>({
  bytesOf: ({ name, source, jobName, reason }) => (name?.length ?? 0) + (source?.length ?? 0) + (jobName?.length ?? 0) + (reason?.length ?? 0),
  async write(all) {
    await recorderPool.query({
      name: 'insert-audit-events',
      text: INSERT,
      values: [
        all.map(({ id }) => id),
        all.map(({ action }) => action),
        all.map(({ outcome }) => outcome),
        all.map(({ name }) => cleanAuditText(name)),
        all.map(({ isVerified }) => isVerified),
        all.map(({ source }) => cleanAuditText(source)),
        all.map(({ jobName }) => cleanAuditText(jobName)),
        all.map(({ runId }) => runId ?? null),
        all.map(({ status }) => status ?? null),
        all.map(({ reason }) => cleanAuditText(reason)),
      ],
    });
    return [];
  },
});

/**
 * Commits an entry. What was allowed is recorded before it is done, so that nothing is done off the record.
 * @throws when it cannot be written
 */
export const recordAuditEvent = (event: NewAuditEvent): Promise<void> => events.add({ ...event, id: newRunId() }, envConfig().databaseAcquireTimeout);

/** Entries a minute, of this process: a flood of them must not fill the disk. */
const MOST_DENIALS = 1_000;
/** Those whom nobody knows are counted apart, so that they cannot hide what a known caller is refused. */
const denials = { known: 0, unknown: 0 };
let minute = 0;

/** Records a refusal beside the answer, which does not wait for it. Never rejects; beyond a thousand a minute they are only counted. */
export function recordDenial(event: Omit<NewAuditEvent, 'outcome'>): void {
  const now = Math.floor(performance.now() / 60_000);
  if (now !== minute) {
    const left = Math.max(0, denials.known - MOST_DENIALS) + Math.max(0, denials.unknown - MOST_DENIALS);
    if (left > 0) logger.warn(`${left} refusals in a minute are not in the audit trail`, TAG);
    Object.assign(denials, { known: 0, unknown: 0 });
    minute = now;
  }
  const count = ++denials[event.isVerified ? 'known' : 'unknown'];
  if (count === MOST_DENIALS + 1) logger.warn(`Over ${MOST_DENIALS} refusals in a minute: the rest of them is not in the audit trail`, TAG);
  if (count > MOST_DENIALS) return;
  recordAuditEvent({ ...event, outcome: 'denied' }).catch((error: unknown) => logger.error(error, { tag: TAG, during: 'recording a refusal', action: event.action, status: event.status }));
}

/** An entry as it stands. */
export interface AuditEvent extends pg.QueryResultRow {
  readonly id: string;
  readonly at: Date;
  readonly action: string;
  readonly outcome: 'allowed' | 'denied';
  readonly caller: string | null;
  readonly isVerified: boolean;
  readonly source: string | null;
  readonly jobName: string | null;
  readonly runId: string | null;
  readonly status: number | null;
  readonly reason: string | null;
}

export interface AuditFilter {
  readonly caller?: string | undefined;
  readonly action?: string | undefined;
  readonly outcome?: string | undefined;
  readonly runId?: string | undefined;
  /** Entries before this one. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** The entries, newest first. */
export async function listAuditEvents({ caller, action, outcome, runId, before, limit }: AuditFilter): Promise<AuditEvent[]> {
  const { rows } = await readPool.query<AuditEvent>({
    text: `select id, at, action, outcome, caller, "isVerified", source, "jobName", "runId", status, reason from audit_event
           where ($1::text is null or caller = $1) and ($2::text is null or action = $2) and ($3::text is null or outcome = $3)
             and ($4::uuid is null or id = $4 or ("runId" = $4 and "runId" <> id)) and ($5::uuid is null or id < $5)
           order by id desc limit $6`,
    values: [caller ?? null, action ?? null, outcome ?? null, runId ?? null, before ?? null, limit],
  });
  return rows;
}
