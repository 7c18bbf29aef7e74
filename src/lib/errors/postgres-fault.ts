/** Codes of the network, and of a server that is starting, stopping or out of reach. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

// Postgres' own codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
const READ_ONLY_SQL_TRANSACTION = '25006';
const FOREIGN_KEY_VIOLATION = '23503';
const INVALID_AUTHORIZATION = '28000';
const INVALID_PASSWORD = '28P01';
const INVALID_CATALOG_NAME = '3D000';
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';
const INSUFFICIENT_PRIVILEGE = '42501';
const UNDEFINED_TABLE = '42P01';
const DISK_FULL = '53100';
const OUT_OF_MEMORY = '53200';
const TOO_MANY_CONNECTIONS = '53300';
const LOCK_NOT_AVAILABLE = '55P03';
const QUERY_CANCELED = '57014';
const IO_ERROR = '58030';

const GONE = /^(08...|57P0[1-4]|57P05)$/;
const TRY_AGAIN = new Set([SERIALIZATION_FAILURE, DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, TOO_MANY_CONNECTIONS]);
const READ_ONLY_OR_FULL = new Set([READ_ONLY_SQL_TRANSACTION, DISK_FULL, OUT_OF_MEMORY, IO_ERROR]);
const NO_ACCESS = new Set([INVALID_AUTHORIZATION, INVALID_PASSWORD, INVALID_CATALOG_NAME, INSUFFICIENT_PRIVILEGE]);
/** node-postgres gives these no code. */
const PG_MESSAGES = /Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout|Client was closed/;

const codeOf = (error: unknown): string => {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
};

/** The connection is of no use any more: it broke, or its server may no longer be written to (a failover, a full disk). */
export const spoilsConnection = (error: unknown): boolean => isUnreachable(error) || READ_ONLY_OR_FULL.has(codeOf(error));

/** The server could not be reached, or went away. */
export const isUnreachable = (error: unknown): boolean =>
  error instanceof Error && (UNREACHABLE.has(codeOf(error)) || isMissingSocket(error) || GONE.test(codeOf(error)) || PG_MESSAGES.test(error.message));

/** A server on a unix socket that is not running. */
const isMissingSocket = (error: Error): boolean => codeOf(error) === 'ENOENT' && 'syscall' in error && error.syscall === 'connect';

/** The same statement may succeed in a moment. For statements that may be repeated only: it may have been done already. */
export const mayPass = (error: unknown): boolean =>
  isUnreachable(error) || TRY_AGAIN.has(codeOf(error)) || READ_ONLY_OR_FULL.has(codeOf(error));

/** Somebody holds a row for longer than the statement may wait (lock_timeout). */
export const isLocked = (error: unknown): boolean => codeOf(error) === LOCK_NOT_AVAILABLE;

/** Postgres refused the statement's own data (a value, a constraint): another statement may well pass. */
export const isRefusedData = (error: unknown): boolean => /^(2[123]...|54...)$/.test(codeOf(error));

/** A row that the statement refers to is not there (any more). */
export const isForeignKeyViolation = (error: unknown): boolean => codeOf(error) === FOREIGN_KEY_VIOLATION;

/** The statement would write, and its transaction is read-only: the one of a dry run, or any on a standby. */
export const isReadOnlyTransaction = (error: unknown): boolean => codeOf(error) === READ_ONLY_SQL_TRANSACTION;

/** The statement was cut off: somebody cancelled it, or it took longer than statement_timeout allows. */
export const isQueryCanceled = (error: unknown): boolean => codeOf(error) === QUERY_CANCELED;

/** The statement names a table that is not there, as before the migrations have run. */
export const isMissingTable = (error: unknown): boolean => codeOf(error) === UNDEFINED_TABLE;

/** The database user may not do what the statement does: a grant is missing. */
export const isNotPermitted = (error: unknown): boolean => codeOf(error) === INSUFFICIENT_PRIVILEGE;

/** The server does not let this user in, has no such database, or does not permit the statement. */
export const isAccessRefused = (error: unknown): boolean => NO_ACCESS.has(codeOf(error));
