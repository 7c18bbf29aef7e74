/** Codes of the network, and of a server that is starting, stopping or out of reach. */
const UNREACHABLE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const GONE = /^(08...|57P0[1-4]|57P05)$/;
const TRY_AGAIN = /^(40001|40P01|55P03|53300)$/;
const READ_ONLY_OR_FULL = /^(25006|53100|53200|58030)$/;
/** node-postgres gives these no code. */
const PG_MESSAGES = /Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout|Client was closed/;

const codeOf = (error: unknown): string => {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
};

/** The connection is of no use any more: it broke, or its server may no longer be written to (a failover, a full disk). */
export const spoilsConnection = (error: unknown): boolean => isUnreachable(error) || READ_ONLY_OR_FULL.test(codeOf(error));

/** The server could not be reached, or went away. */
export const isUnreachable = (error: unknown): boolean =>
  error instanceof Error && (UNREACHABLE.has(codeOf(error)) || isMissingSocket(error) || GONE.test(codeOf(error)) || PG_MESSAGES.test(error.message));

/** A server on a unix socket that is not running. */
const isMissingSocket = (error: Error): boolean => codeOf(error) === 'ENOENT' && 'syscall' in error && error.syscall === 'connect';

/** The same statement may succeed in a moment. For statements that may be repeated only: it may have been done already. */
export const mayPass = (error: unknown): boolean =>
  isUnreachable(error) || TRY_AGAIN.test(codeOf(error)) || READ_ONLY_OR_FULL.test(codeOf(error));

/** Somebody holds a row for longer than the statement may wait (lock_timeout). */
export const isLocked = (error: unknown): boolean => codeOf(error) === '55P03';

/** Postgres refused the statement's own data (a value, a constraint): another statement may well pass. */
export const isRefusedData = (error: unknown): boolean => /^(2[123]...|54...)$/.test(codeOf(error));

/** A row that the statement refers to is not there (any more). */
export const isForeignKeyViolation = (error: unknown): boolean => codeOf(error) === '23503';
