import type { JSONData } from '../../jobs/helpers.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { envConfig } from '../../lib/env-config.js';
import { openBody } from '../../lib/personal-data/sealed-body.js';
import { inTurn } from '../../lib/process/loop-turns.js';

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
