import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import { toJson } from '../../lib/json/json.js';
import type { CurrentRun } from '../../lib/run-scope.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { toStorableJson } from '../../lib/json/storable-json.js';

const MOST_CURSOR_BYTES = 65_536;

/** Only the attempt that has the run may move its cursor; a restart makes the cursor the next attempt's. */
const save = (id: string, attempt: string, cursor: string) => `
  insert into batch_job_run_cursor as saved ("runId", attempt, cursor) values (${id}, ${attempt}, ${cursor})
  on conflict ("runId") do update set cursor = excluded.cursor where saved.attempt = excluded.attempt`;

/**
 * Saves where the run has got to: in `trx`, and so with what the job writes there, or by itself. A dry run's transaction
 * cannot write, so its cursor is saved by itself.
 * @throws {Error} when the run is another attempt's by now: the transaction must not commit
 */
export async function saveCursor(run: CurrentRun, cursor: JSONData, trx?: Knex.Transaction): Promise<void> {
  const values = [run.id, run.attempt, toStorableJson(toJson(cursor).text ?? 'null', MOST_CURSOR_BYTES)];
  const { rowCount } =
    trx && !run.isDryRun
      ? await trx.raw<{ rowCount: number }>(save('?', '?', '?'), values as string[])
      : await recorderPool.query({ text: save('$1', '$2', '$3'), values });
  if (rowCount !== 1) throw new Error(`Run ${run.id} goes on as another attempt, so this one may not write any more`);
}
