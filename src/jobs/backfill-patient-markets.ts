import { z } from 'zod';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';
import { processInBatches } from '@commons/backend/lib/process-in-batches.js';
import { findOrCreateAttributionUser } from '@commons/backend/models/user.js';
import type { JobConfig, ScriptHandler } from '@commons/backend/jobs/helpers.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';

const TAG = 'backfill-patient-markets';

export const config: JobConfig = {
  description: 'Gives patients without a market the one of the state that their ZIP code lies in.',
  timeout: '2h',
  overlap: 'skip',
};

export const RequestBody = z.object({
  batchSize: z.number().int().min(1).max(10_000).optional().default(1_000).describe('Patients that one transaction updates.'),
  limit: z.number().int().min(1).optional().describe('Patients to give a market at most. Default: all that can be given one.'),
  isDryRun: z.boolean().optional().default(false).describe('Count who would be given a market, and write nothing.'),
});

export const backfillPatientMarkets = async (body: unknown) => {
  const bodyResult = RequestBody.safeParse(body);
  if (!bodyResult.success) {
    logger.error(bodyResult.error, { tag: TAG });
    throw new StatusError(400, 'Invalid request body');
  }
  const { batchSize, limit, isDryRun } = bodyResult.data;
  logger.log('Giving patients the market of their ZIP code', TAG, { batchSize, limit, isDryRun });

  const batches = await processInBatches({
    // Locked until the batch is written: nobody deletes or moves a patient in between. (A dry run takes no locks.)
    query: withoutMarket().whereNotNull('market.id').forNoKeyUpdate('patient').select<Found[]>('patient.id', 'market.id as marketId'),
    key: 'patient.id',
    batchSize,
    limit,
    isDryRun,
    transaction: true,
    batch: async (found, trx) => {
      if (isDryRun) return;
      const updatedBy = await findOrCreateAttributionUser(TAG, { trx });
      await trx.raw(
        `update patient set "marketId" = found."marketId", "updatedAt" = now(), "updatedBy" = ?
           from unnest(?::uuid[], ?::uuid[]) as found (id, "marketId")
          where patient.id = found.id`,
        [updatedBy, found.map(({ id }) => id), found.map(({ marketId }) => marketId)],
      );
    },
  });
  const result = { ...batches, batchSize, limit, skipped: await countSkipped() };
  logger.log('Job complete', TAG, result);
  return result;
};

interface Found {
  readonly id: string;
  readonly marketId: string;
}

/** Patients without a market, each with the one that their ZIP code says, where it says one. */
const withoutMarket = () =>
  knex('patient')
    .leftJoin('zip_code', 'zip_code.code', 'patient.zipCode')
    .leftJoin('market', 'market.state', 'zip_code.state')
    .whereNull('patient.marketId')
    .whereNull('patient.deletedAt');

/** How many patients can be given no market, and why. They are no part of the batches, so no run comes upon them again and again. */
async function countSkipped() {
  const counted: unknown = await withoutMarket()
    .whereNull('market.id')
    .first(
      knex.raw('(count(*) filter (where patient."zipCode" is null))::int as "noZipCode"'),
      knex.raw('(count(*) filter (where patient."zipCode" is not null and zip_code.code is null))::int as "unknownZipCode"'),
      knex.raw('(count(*) filter (where zip_code.code is not null))::int as "noMarketInState"'),
    );
  return counted as { noZipCode: number; unknownZipCode: number; noMarketInState: number };
}

const main: ScriptHandler = async (req) => backfillPatientMarkets(req.body);
export default main;
