import { EnvConfigError } from '../lib/env-config.js';
import { isAccessRefused, isMissingTable, isUnreachable } from '../lib/errors/postgres-fault.js';
import { MigrationFault } from '../lib/database/migration-file.js';
import { withoutCredentials } from '../lib/text/credentials.js';
import { ServiceError } from '../lib/errors/service-error.js';
import { CliError } from './cli-error.js';

/** What a person is told of a command that failed: a line where the reason is known, a stack where it is a defect of ours. */
export function faultText(error: unknown): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  if (error instanceof CliError || error instanceof EnvConfigError || error instanceof MigrationFault) return `error: ${error.message}`;
  if (error instanceof ServiceError) return [`error: ${error.message}`, ...causeText(error.cause)].join('\n');
  const known = databaseFault(error);
  return known === undefined ? `error: ${error.stack ?? error.message}` : `error: ${known}`;
}

function databaseFault(error: Error): string | undefined {
  if (isMissingTable(error)) return `The database is not migrated (${error.message}). Run: npm run migrate`;
  if (isUnreachable(error)) return `The database cannot be reached: ${messageOf(error)}. ${hint()}`;
  return isAccessRefused(error) ? `The database refuses: ${messageOf(error)}. ${hint()}` : undefined;
}

const hint = (): string => (process.env.DATABASE_URL ? 'See DATABASE_URL.' : 'See DATA_FOLDER, or set DATABASE_URL.');

const causeText = (cause: unknown): string[] => (cause instanceof Error ? [`  ${withoutCredentials(messageOf(cause))}`] : []);

/** A host of several addresses fails with an AggregateError, whose own message is empty. */
function messageOf(error: Error): string {
  const [first] = error instanceof AggregateError ? error.errors : [];
  return error.message || (first instanceof Error ? first.message : error.name);
}
