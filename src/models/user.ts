import type { Knex } from 'knex';
import knex from '../lib/knex.js';
import { tryRunScope } from '../lib/run-scope.js';

/** What a user's e-mail ends in when the user is a job: no such domain can exist (RFC 2606). */
const ATTRIBUTION_DOMAIN = 'jobs.invalid';

/** What stands for the user in a dry run, which writes nothing and makes none: the nil UUID (RFC 9562, 5.9), which is nobody's. */
export const NOBODY = '00000000-0000-0000-0000-000000000000';

interface Options {
  /** The transaction of the first write, so that a run that writes nothing makes no user either. It must be asked again in the next one: a user that was rolled back is none. */
  readonly trx?: Knex;
  /** As a dry run does, which may write nothing and needs no user. Default: whether the calling run is one. */
  readonly isDryRun?: boolean;
}

/**
 * The id of the user to whom a job's writes are attributed (createdBy, updatedBy, deletedBy), made at the first call. Two
 * runs that call it at once get the same. In a dry run: NOBODY, unless there is one; with `isDryRun: true` given, undefined.
 * @param tag the job's name; default: the calling run's job
 * @throws {TypeError} outside any run, without a tag
 */
export async function findOrCreateAttributionUser(tag: string, options?: { isDryRun?: false; trx?: Knex }): Promise<string>;
export async function findOrCreateAttributionUser(tag: string, options: Options): Promise<string | undefined>;
export async function findOrCreateAttributionUser(options?: { trx?: Knex }): Promise<string>;
export async function findOrCreateAttributionUser(first?: string | Options, second: Options = {}): Promise<string | undefined> {
  const scope = tryRunScope();
  const run = scope?.run;
  if (scope?.whyNoRuns !== undefined) throw new Error('A RequestBody cannot find or create a user, since it checks the body before the run begins: let the job do that.');
  const { trx = knex, isDryRun } = typeof first === 'object' && first !== null ? first : second;
  const tag = typeof first === 'string' ? first : run?.jobName;
  if (!tag) throw new TypeError("findOrCreateAttributionUser() was called outside a run: name the job, as in User.findOrCreateAttributionUser('backfill-phones')");
  const email = `${tag}@${ATTRIBUTION_DOMAIN}`;
  const find = () => trx<{ id: string; email: string }>('user').where({ email }).first('id');
  const found = await find();
  if (found) return found.id;
  if (isDryRun === true) return undefined;
  if (isDryRun === undefined && run?.isDryRun) return NOBODY;
  await trx('user').insert({ email, firstName: 'Job', lastName: tag, role: 'attribution' }).onConflict('email').ignore();
  return (await find())!.id;
}

/** The table user, as jobs use it. */
const User = { findOrCreateAttributionUser };

export default User;
