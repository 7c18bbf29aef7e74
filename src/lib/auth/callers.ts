/** What a caller may do: start and control runs; read the catalogue and the history; read the audit trail. */
export type Permission = 'run' | 'read' | 'audit';

/** Who calls, as far as it is known. */
export interface Caller {
  /** Lower case. Undefined where nobody said who it is. */
  readonly email: string | undefined;
  /** Whether the service itself has verified the e-mail. */
  readonly isVerified: boolean;
  readonly permissions: readonly Permission[];
}

/** E-mails of people and service accounts, and whole domains as `@example.com`; lower case. */
export type CallerList = readonly string[];

const EMAIL_OR_DOMAIN = /^[^\s@,*]*@[a-z0-9-]+(\.[a-z0-9-]+)+$/;

/** Reads `a@example.com, @example.org`. There are no wildcards: a domain is its own, without what is below it. @throws {RangeError} */
export function parseCallerList(text: string): CallerList {
  const entries = text.split(',').map((entry) => entry.trim().toLowerCase()).filter((entry) => entry !== '');
  const wrong = entries.find((entry) => !EMAIL_OR_DOMAIN.test(entry));
  if (wrong !== undefined) throw new RangeError(`'${wrong}' is neither an e-mail nor a domain: write name@example.com, or @example.com for all of a domain`);
  return entries;
}

/**
 * The e-mail in lower case; undefined for what is none (RFC 5321, 4.5.3.1.3: 254 characters at most). Plain ASCII with one @:
 * letters that only turn into others' in lower case (U+212A, the Kelvin sign, into k) name nobody.
 */
export const readEmail = (email: unknown): string | undefined =>
  typeof email === 'string' && email.length <= 254 && /^[!-?A-~]+@[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(email) ? email.toLowerCase() : undefined;

/** Whether the list names the e-mail, or its domain. */
export function isListed(list: CallerList, email: string): boolean {
  const lower = email.toLowerCase();
  return list.includes(lower) || list.includes(lower.slice(lower.lastIndexOf('@')));
}
