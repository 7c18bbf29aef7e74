import { appendFileSync } from 'node:fs';
import knex from '@commons/backend/lib/knex.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { currentRun } from '@commons/backend/lib/run-scope.js';

/**
 * Counts every write of every row: in the row, and in a ledger to which rows are only added. It repeats what it is called
 * for, so that a batch which is done twice shows. The file `trace` says where in a batch the process was, whatever became
 * of its transaction; a notification comes with each commit.
 */
export default ({ body: { batchSize, trace } }) => {
  const { attempt } = currentRun();
  return processInBatches({
    query: knex('counted_item').select('id'),
    batchSize,
    transaction: true,
    maxFailures: 0,
    batch: async (rows, trx) => {
      appendFileSync(trace, `entered ${attempt}\n`);
      const ids = rows.map(({ id }) => id);
      await trx.raw('update counted_item set written = written + 1 where id = any(?::int[])', [ids]);
      await trx.raw('insert into counted_ledger ("itemId", attempt) select unnest(?::int[]), ?', [ids, attempt]);
      await trx.raw("select pg_notify('counted_backfill', '')");
      appendFileSync(trace, `left ${attempt}\n`);
    },
  });
};
