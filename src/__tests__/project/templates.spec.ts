import { backfillEntityName } from '@commons/backend/__tests__/fixtures/jobs/backfill-entity-name.js';
import main, { jobName } from '@commons/backend/__tests__/fixtures/jobs/job-name.js';
import { StatusError } from '@commons/backend/jobs/helpers.js';
import knex from '@commons/backend/lib/knex.js';
import logger from '@commons/backend/lib/logging.js';

jest.mock('@commons/backend/lib/knex.js');
jest.mock('@commons/backend/lib/logging.js');

const buildRequest = (body: any) => ({ body }) as any;

describe('the house templates, as their authors test them', () => {
  it('returns its counts', async () => {
    await expect(main(buildRequest({ exampleParam: 'x' }))).resolves.toEqual({ processed: 0, succeeded: 0, failed: 0 });
    expect(logger.log).toHaveBeenCalledWith('Starting job with param=x', 'job-name');
  });

  it('refuses a bad body with 400', async () => {
    await expect(jobName({})).rejects.toEqual(new StatusError(400, 'Invalid request body'));
    expect(logger.error).toHaveBeenCalledWith(expect.objectContaining({ name: 'ZodError' }), { tag: 'job-name' });
  });

  it('pages through a mocked knex, up to its limit', async () => {
    const limit = jest.fn(async (n: number) => Array.from({ length: n }, (_, id) => ({ id })));
    (knex as unknown as jest.Mock).mockReturnValue({ select: () => ({ whereNull: () => ({ limit }) }) });
    await expect(backfillEntityName({ batchSize: 10, limit: 25, isDryRun: true })).resolves.toEqual({
      isDryRun: true, batchSize: 10, limit: 25, totalProcessed: 25,
    });
    expect(limit.mock.calls).toEqual([[10], [10], [5]]);
  });
});
