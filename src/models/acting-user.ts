import { StatusError } from '../jobs/helpers.js';
import { envConfig } from '../lib/env-config.js';
import knex from '../lib/knex.js';
import { tryCurrentRun } from '../lib/run-scope.js';
import { findRun } from '../runs/records/history.js';

/**
 * The id of the user in whose name the calling run acts. That is whoever started it: a caller over HTTP cannot act in another's name,
 * so what a body says of it (`named`) must be the same. Where nobody is verified, it is the one that the body names: with
 * AUTH=none, and in the terminal, where whoever is there has the database.
 * @param named the id or the e-mail address of a user, in lower case
 * @throws {StatusError} 422 when that is no user, 403 when the caller is another one, or none
 */
export async function actingUser(named: string | undefined): Promise<string> {
  const run = tryCurrentRun();
  const requestedBy = run && (await findRun(run.id))?.requestedBy;
  if (envConfig().auth.mode === 'none' || isTerminal(requestedBy)) {
    if (named === undefined) throw new StatusError(422, 'requestedBy is missing: who calls is not verified here, so the body must name the user');
    const user = await userId(named);
    if (user === undefined) throw new StatusError(422, 'requestedBy is neither the id nor the e-mail address of a user');
    return user;
  }
  const caller = requestedBy ? await userId(requestedBy) : undefined;
  if (caller === undefined) throw new StatusError(403, "Whoever calls is no user: the e-mail address of the caller's token must be that of a user. A service account needs a user of its own");
  if (named !== undefined && (await userId(named)) !== caller) throw new StatusError(403, 'requestedBy is another user than the one who calls: leave it out');
  return caller;
}

/** The command line records the name of the account it runs under. A caller over HTTP has an e-mail address, or nothing. */
const isTerminal = (requestedBy: string | null | undefined): boolean => typeof requestedBy === 'string' && requestedBy !== '' && !requestedBy.includes('@');

async function userId(idOrEmail: string): Promise<string | undefined> {
  const user = await knex<{ id: string; email: string }>('user').where(idOrEmail.includes('@') ? { email: idOrEmail } : { id: idOrEmail }).first('id');
  return user?.id;
}
