import knex from '@commons/backend/lib/knex.js';
import User, { findOrCreateAttributionUser, NOBODY } from '@commons/backend/models/user.js';
import { BatchJobRun } from '@commons/backend/models/batch-job-run.js';

const email = (id: string | undefined) => knex('user').where({ id }).first('email') as Promise<{ email: string } | undefined>;

describe('User.findOrCreateAttributionUser()', () => {
  it('takes the job of the run it is called in', async () => {
    const id = await BatchJobRun.trap('fill-in-phones', () => User.findOrCreateAttributionUser());
    expect(await email(id)).toEqual({ email: 'fill-in-phones@jobs.invalid' });
    expect(await findOrCreateAttributionUser('fill-in-phones')).toBe(id);
  });

  it('is part of a transaction that it is given, and goes when that is rolled back', async () => {
    const rolledBack = BatchJobRun.trap('never-writes', () => knex.transaction(async (trx) => {
      const id = await User.findOrCreateAttributionUser({ trx });
      expect(await trx('user').where({ id })).toHaveLength(1);
      throw new Error('no');
    }));
    await expect(rolledBack).rejects.toThrow('no');
    expect(await knex('user').where({ email: 'never-writes@jobs.invalid' })).toEqual([]);
  });

  it('makes nobody in a dry run, and gives the nil UUID for them', async () => {
    await expect(BatchJobRun.trap('only-looks', () => User.findOrCreateAttributionUser(), { isDryRun: true })).resolves.toBe(NOBODY);
    expect(await knex('user').where({ email: 'only-looks@jobs.invalid' })).toEqual([]);
  });

  it('says what to write where there is no run', async () => {
    await expect(User.findOrCreateAttributionUser()).rejects.toThrow("findOrCreateAttributionUser() was called outside a run: name the job, as in User.findOrCreateAttributionUser('backfill-phones')");
  });
});
