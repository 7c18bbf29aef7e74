import type { Knex } from 'knex';
import type { JSONData } from '../../jobs/helpers.js';
import { toJson } from '../../lib/json/json.js';
import type { CurrentRun } from '../../lib/run-scope.js';
import { recorderPool } from '../../lib/database/service-pools.js';
import { toStorableJson } from '../../lib/json/storable-json.js';

const MOST_CURSOR_BYTES = 65_536;

/** Only the attempt that has the run may move its cursor; a restart makes the cursor the next attempt's. */
const save = (...[id, attempt, cursor, seq, unkept]: readonly [string, string, string, string, string]) => `
  insert into batch_job_run_cursor as saved ("runId", attempt, cursor, "failureSeq", "failuresUnkept") values (${id}, ${attempt}, ${cursor}, ${seq}, ${unkept})
  on conflict ("runId") do update
  set cursor = excluded.cursor, "failureSeq" = excluded."failureSeq", "failuresUnkept" = saved."failuresUnkeptBefore" + excluded."failuresUnkept"
  where saved.attempt = excluded.attempt`;

/** Which failed items of an attempt are behind its cursor, so that a resumed run does not do them again. */
export interface FailuresBehind {
  /** Those that are kept with a smaller number than this. */
  readonly seq: number;
  /** How many more, which were too many to be kept. */
  readonly unkept: number;
}

const NONE: FailuresBehind = { seq: 0, unkept: 0 };

/**
 * Saves where the run has got to: in `trx`, and so with what the job writes there, or by itself. A dry run's transaction
 * cannot write, so its cursor is saved by itself.
 * @throws {Error} when the run is another attempt's by now: the transaction must not commit
 */
export async function saveCursor(run: CurrentRun, cursor: JSONData, trx?: Knex.Transaction, { seq, unkept } = NONE): Promise<void> {
  const values = [run.id, run.attempt, toStorableJson(toJson(cursor).text ?? 'null', MOST_CURSOR_BYTES), seq, unkept];
  const { rowCount } =
    trx && !run.isDryRun
      ? await trx.raw<{ rowCount: number }>(save('?', '?', '?', '?', '?'), values)
      : await recorderPool.query({ text: save('$1', '$2', '$3', '$4', '$5'), values });
  if (rowCount !== 1) throw new Error(`Run ${run.id} goes on as another attempt, so this one may not write any more`);
}
