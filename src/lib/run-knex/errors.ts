import { ServiceError } from '../service-error.js';
import { SqlTokens } from './sql-tokens.js';
import { stepsOf } from './sql-writes.js';

/**
 * What a run's query may fail with of our own. knex writes the statement, with its values, before the message of any
 * error of a query; these messages go out to callers, so they cannot be changed.
 */
abstract class RunQueryError extends ServiceError {
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

  /** @param cause Postgres's error 25006 @param sql what it refused */
  constructor(cause: Error, sql: string) {
    super(500, `A dry run may not write, and the job tried ${refusedWrite(cause.message, sql)}. Let the job leave its writes out when isDryRun is set.`, cause);
  }
}

const PREPOSITION: Readonly<Record<string, string>> = { insert: ' INTO', delete: ' FROM', merge: ' INTO' };

/** Such as `UPDATE patient`: the verb by Postgres, which knows what a function or a WITH tried; the table by the text. */
function refusedWrite(message: string, sql: string): string {
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
