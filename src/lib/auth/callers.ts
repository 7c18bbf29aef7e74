/** What a caller may do: start and control runs; read the catalogue and the history; read the audit trail. */
export type Permission = 'run' | 'read' | 'audit';

/** Who calls, as far as it is known. */
export interface Caller {
  /** Lower case. Undefined where nobody said who it is. */
  readonly email: string | undefined;
  /** The domain to which the account is proven to belong (account-domain.ts), lower case. Undefined where nothing proves it. */
  readonly domain?: string | undefined;
  /** Whether the service itself has verified the e-mail. */
  readonly isVerified: boolean;
  readonly permissions: readonly Permission[];
  /** Nobody looks at who calls (AUTH=none), so that what the request carries proves nothing here. */
  readonly isUnchecked?: boolean;
}

/** E-mails of people and service accounts, and whole domains as `@example.com`; lower case. */
export type CallerList = readonly string[];

/** Plain ASCII words with dots between them, without quotes and comments (the dot-atom of RFC 5322, 3.2.3). */
const LOCAL_PART = String.raw`[a-z\d!#$%&'*+/=?^_\x60{|}~-]+(?:\.[a-z\d!#$%&'*+/=?^_\x60{|}~-]+)*`;
const DOMAIN = String.raw`[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)+`;
const EMAIL = new RegExp(`^${LOCAL_PART}@${DOMAIN}$`, 'i');
const DOMAIN_ENTRY = new RegExp(`^@${DOMAIN}$`, 'i');
/** RFC 5321, 4.5.3.1. */
const LONGEST_EMAIL = 254;
const LONGEST_LOCAL_PART = 64;

/**
 * Domains of which everybody can get an account, so that to be of one proves nothing: Gmail, and those in which Google keeps the service
 * accounts of all its customers' projects (https://cloud.google.com/iam/docs/service-account-types).
 */
const OPEN_DOMAIN = /^@(?:gmail\.com|googlemail\.com|(?:(?!iam\.)[^.]+\.|iam\.|gcp-sa-[^.]+\.iam\.)?gserviceaccount\.com)$/;

/** Reads `a@example.com, @example.org`. There are no wildcards: a domain is its own, without what is below it. @throws {RangeError} */
export function parseCallerList(text: string): CallerList {
  return text.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '').map(parseEntry);
}

function parseEntry(entry: string): string {
  const lower = entry.toLowerCase();
  // An e-mail may have a star in it, but whoever writes one here means a wildcard.
  if ((readEmail(entry) === undefined && !DOMAIN_ENTRY.test(entry)) || entry.includes('*')) {
    throw new RangeError(`'${entry}' is neither an e-mail nor a domain: write name@example.com, or @example.com for all of a domain`);
  }
  if (OPEN_DOMAIN.test(lower)) throw new RangeError(`'${lower}' is a domain in which anybody can have an account: name the accounts, such as name${lower}`);
  return lower;
}

/**
 * The e-mail in lower case; undefined for what is none, and for forms that two systems may read differently: quoted names,
 * comments, other letters than ASCII (U+212A, the Kelvin sign, is a k in lower case), a dot at the end.
 */
export function readEmail(email: unknown): string | undefined {
  if (typeof email !== 'string' || email.length > LONGEST_EMAIL || email.indexOf('@') > LONGEST_LOCAL_PART) return undefined;
  return EMAIL.test(email) ? email.toLowerCase() : undefined;
}

/** Whether the list names the caller's e-mail, or the domain to which its account is proven to belong. */
export const isListed = (list: CallerList, { email, domain }: Pick<Caller, 'email' | 'domain'>): boolean =>
  (email !== undefined && list.includes(email)) || (domain !== undefined && list.includes(`@${domain}`));
