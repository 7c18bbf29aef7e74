import type { ZodType } from 'zod';
import type { JSONData } from '../jobs/helpers.js';
import { envConfig } from '../lib/env-config.js';
import { toJson } from '../lib/json/json.js';
import { inTurn } from '../lib/process/loop-turns.js';
import { type RedactedBody, redactBody } from '../lib/personal-data/redact-body.js';
import { combineScrubbers, createScrubber, type Scrubber } from '../lib/personal-data/scrubber.js';
import { holdsSecretName } from '../lib/personal-data/secret-names.js';
import { openBody, sealBody } from '../lib/personal-data/sealed-body.js';
import { recorderPool } from '../lib/database/service-pools.js';
import { toStorableJson } from '../lib/json/storable-json.js';

/** The largest body that can be sent is smaller. */
const MOST_BODY_BYTES = 104_857_600;

/** How a body's personal data are told: by the job's RequestBody; a job that cannot be loaded may have had one. */
export type BodySchema = ZodType | 'none' | 'unknown';

/** A run's body as its row keeps it. */
export interface KeptBody {
  /** JSON text that Postgres takes; undefined for none. */
  readonly text: string | undefined;
  /** Something was taken out of it. */
  readonly isRedacted: boolean;
  /** The whole body for the run with that id, encrypted; undefined where nothing was taken out, or there is no key (BODY_KEYS). */
  readonly seal: (runId: string) => Buffer | undefined;
  /** Keeps what was taken out of the body out of whatever else the run leaves behind. */
  readonly scrubber: Scrubber | undefined;
}

const NOT_SEALED = (): undefined => undefined;

/**
 * What may be kept of a body, and how. Each step of a large body has a turn of the event loop of its own.
 * @param outer keeps the personal data out of the run that it is started in: they are to stay out of this one too
 */
export async function keepBody(body: unknown, schema: BodySchema, outer?: Scrubber): Promise<KeptBody> {
  const text = await inTurn(() => textOf(body));
  return inTurn(() => keptOf(text, schema, outer));
}

/** The same, which also keeps out of what the run leaves behind the personal data that `parsed`, which the schema made of the body, holds in another form. */
export async function withParsed(kept: KeptBody, parsed: unknown, schema: ZodType): Promise<KeptBody> {
  const text = await inTurn(() => textOf(parsed));
  const redacted = text === undefined ? undefined : await inTurn(() => redactedOf(text, schema));
  return redacted ? { ...kept, scrubber: combineScrubbers(kept.scrubber, createScrubber(redacted.values)) } : kept;
}

const textOf = (body: unknown): string | undefined => (body === undefined ? undefined : toJson(body).text);

function keptOf(text: string | undefined, schema: BodySchema, outer: Scrubber | undefined): KeptBody {
  if (text === undefined || text === '{}') return { text, isRedacted: false, seal: NOT_SEALED, scrubber: outer };
  const { bodyKeys } = envConfig();
  const redacted = redactedOf(text, schema);
  const own = redacted ? JSON.stringify(redacted.body) : text;
  const kept = outer?.json(own) ?? own;
  const scrubber = combineScrubbers(outer, redacted && createScrubber(redacted.values));
  if (kept === text) return { text: toStorableJson(text, MOST_BODY_BYTES), isRedacted: false, seal: NOT_SEALED, scrubber };
  return {
    text: toStorableJson(kept, MOST_BODY_BYTES),
    isRedacted: true,
    seal: (runId) => (bodyKeys ? sealBody(text, runId, bodyKeys) : undefined),
    scrubber,
  };
}

function redactedOf(text: string, schema: BodySchema): RedactedBody | undefined {
  if (schema === 'unknown') return { body: UNKNOWN, values: [] };
  if (schema === 'none' && !holdsSecretName(text)) return undefined;
  return redactBody(JSON.parse(text) as JSONData, schema === 'none' ? undefined : schema, envConfig().redactionKey);
}

const UNKNOWN = '[Not kept: the job could not be loaded, so nobody knows what of it is personal]';

/** The whole body of a run whose row holds it redacted, or undefined when it was not kept, is erased, or its key is gone. */
export async function openSealedBody(runId: string): Promise<JSONData | undefined> {
  const { rows } = await recorderPool.query<{ sealedBody: Buffer | null }>({ text: 'select "sealedBody" from batch_job_run where id = $1', values: [runId] });
  const sealed = rows[0]?.sealedBody;
  const text = sealed && openBody(sealed, runId, envConfig().bodyKeys ?? []);
  return text === undefined || text === null ? undefined : inTurn(() => JSON.parse(text) as JSONData);
}

/** Erases the sealed bodies of runs that ended longer ago than BODY_RETENTION: nobody will start them again. @returns how many */
export async function eraseOldBodies(): Promise<number> {
  const { rowCount } = await recorderPool.query({
    text: `update batch_job_run set "sealedBody" = null where "sealedBody" is not null and "finishedAt" < now() - $1 * interval '1 ms'`,
    values: [envConfig().bodyRetention],
  });
  return rowCount ?? 0;
}
