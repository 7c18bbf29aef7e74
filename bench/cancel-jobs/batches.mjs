import { processInBatches } from '@commons/backend/lib/process-in-batches.js';

/** Small batches, one after the other, for a minute and more. */
export default () =>
  processInBatches({
    query: Array.from({ length: 1_000_000 }, (_, n) => n),
    batchSize: 10,
    batch: (_rows, trx) => trx.raw('select pg_sleep(0.01)'),
    transaction: true,
  });
