import type { Knex } from 'knex';
import knex from '../lib/knex.js';

/** What a user's e-mail ends in when the user is a job: no such domain can exist (RFC 2606). */
const ATTRIBUTION_DOMAIN = 'jobs.invalid';

/**
 * The id of the user to whom a job's writes are attributed (createdBy, updatedBy, deletedBy), made at the first call. Two
 * runs that call it at once get the same. In a dry run, which may write nothing and needs none: undefined unless there is one.
 * @param tag the job's name
 * @param options `trx`: the transaction of the first write, so that a run that writes nothing makes no user either. It must be
 * asked again in the next one: a user that was rolled back is none.
 */
export async function findOrCreateAttributionUser(tag: string, options?: { isDryRun?: false; trx?: Knex }): Promise<string>;
export async function findOrCreateAttributionUser(tag: string, options: { isDryRun?: boolean; trx?: Knex }): Promise<string | undefined>;
export async function findOrCreateAttributionUser(tag: string, { isDryRun = false, trx = knex }: { isDryRun?: boolean; trx?: Knex } = {}): Promise<string | undefined> {
  const email = `${tag}@${ATTRIBUTION_DOMAIN}`;
  const find = () => trx<{ id: string; email: string }>('user').where({ email }).first('id');
  const found = await find();
  if (found || isDryRun) return found?.id;
  await trx('user').insert({ email, firstName: 'Job', lastName: tag, role: 'attribution' }).onConflict('email').ignore();
  return (await find())!.id;
}
