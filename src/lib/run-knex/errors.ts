import { isReadOnlyTransaction } from '../errors/postgres-fault.js';
import { ServiceError } from '../errors/service-error.js';
import { SqlTokens } from './sql-tokens.js';
import { stepsOf } from './sql-writes.js';

/**
 * What a run's query may fail with of our own. knex writes the statement, with its values, before the message of any
 * error of a query; these messages go out to callers, so they cannot be changed.
 */
export abstract class RunQueryError extends ServiceError {
  constructor(status: number, message: string, cause: unknown) {
    super(status, message, { cause });
    Object.defineProperty(this, 'message', { get: () => message, set() {} });
  }
}

/** The run was told to stop, or is over: it may use the database no more. `cause` is why it was stopped. */
export class RunStopped extends RunQueryError {
  override readonly name = 'RunStopped';

  /** @param reason why it was stopped; undefined for a run that is over */
  constructor(reason?: unknown) {
    const message = reason === undefined ? 'The run is over, so it cannot use the database any more.' : 'The run was stopped, so its query was not done.';
    super(reason instanceof ServiceError ? reason.status : 503, message, reason);
  }
}

/** Postgres refused a write, because the run is a dry run. Its status is 500: the fault is the job's, not its caller's. */
export class DryRunWrite extends RunQueryError {
  override readonly name = 'DryRunWrite';

  /** @param cause Postgres's error, see isRefusedWrite() @param sql what it refused */
  constructor(cause: Error, sql: string) {
    super(500, `A dry run may not write, and the job tried ${refusedWrite(cause.message, sql)}. Let the job leave its writes out when isDryRun is set.`, cause);
  }
}

/** A job asks by a connection that is not, or no longer, its run's. Its status is 500: the fault is the job's. */
export class ConnectionGivenBack extends RunQueryError {
  override readonly name = 'ConnectionGivenBack';

  constructor() {
    super(500, 'The connection was given back, or was never given to this run, so the run cannot use it. Get one inside the run, and use it before it is released.', undefined);
  }
}

/** A job would change what all runs share. Its status is 500: the fault is the job's. */
export class SharedByRuns extends ServiceError {
  override readonly name = 'SharedByRuns';

  /** @param what such as `call knex.destroy()` @param instead what to do */
  constructor(what: string, instead: string) {
    super(500, `A job may not ${what}: it would outlive the run, and reach every other one. ${instead}`);
  }
}

const ACTIVE_TRANSACTION = '25001';
/** What 25001 stands for when the read-only transaction of a dry run is the reason: leaving it, or what cannot be done in any transaction, such as VACUUM. */
const LEAVES_TRANSACTION = /read-write mode|^(.+?) cannot (?:run inside|be executed from) /;

/** Postgres refused it since it would write, or would leave the read-only transaction that a dry run's statements are done in. */
export function isRefusedWrite(error: Error): boolean {
  const { code } = error as { code?: unknown };
  return isReadOnlyTransaction(error) || (code === ACTIVE_TRANSACTION && LEAVES_TRANSACTION.test(error.message));
}

const PREPOSITION: Readonly<Record<string, string>> = { insert: ' INTO', delete: ' FROM', merge: ' INTO' };

/** Such as `UPDATE patient`. Postgres names the verb, since it knows what a function or a WITH tried; the text names the table. */
function refusedWrite(message: string, sql: string): string {
  if (message.includes('read-write mode')) return 'to make its transaction READ WRITE';
  const outside = LEAVES_TRANSACTION.exec(message)?.[1];
  if (outside) return outside;
  const verb = /cannot execute ([\w ()]{1,60}) in a read-only transaction/.exec(message)?.[1] ?? 'to write';
  const step = stepsOf(sql).find((each) => verb.toLowerCase().startsWith(each.verb) || verb === 'SELECT');
  if (step) return `${step.verb.toUpperCase()}${PREPOSITION[step.verb] ?? ''} ${step.name}`;
  const table = verb.endsWith(' TABLE') ? tableIn(sql) : undefined;
  return table === undefined ? verb : `${verb} ${table}`;
}

/** What follows the first word TABLE. */
function tableIn(sql: string): string | undefined {
  const tokens = new SqlTokens(sql);
  while (tokens.kind !== 'end' && !tokens.accept('table')) tokens.next();
  if (tokens.accept('if')) tokens.accept('not');
  tokens.accept('exists');
  return tokens.name()?.join('.');
}
