import type { JWTPayload } from 'jose';

/** What Google calls the accounts of programs. Nobody else can have a name below it: the domain is Google's, and takes no mail. */
const SERVICE_ACCOUNTS = '.gserviceaccount.com';
/** Other letters may turn into these in lower case. */
const ASCII = /^[!-~]+$/;

/**
 * The domain to which the account behind a verified token is proven to belong, in lower case; undefined where nothing proves it.
 * An e-mail proves nothing of the kind: anybody who once could read mail under an address may have made a Google account of it, and
 * keeps it when the address goes to somebody else.
 *
 * - People: the claim `hd`, which only an organisation's own accounts carry
 *   (https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload; IAP's assertion has it too:
 *   https://cloud.google.com/iap/docs/signed-headers-howto#verifying_the_jwt_payload). It is the organisation's first domain. The e-mail must be of
 *   the same one: an address of its other domains may belong to another group of people.
 * - Service accounts, which have no `hd`: the domain of the e-mail, which is that of their project. Where the token says for whom
 *   it was made (`azp`), that is the account itself, and not a client at which a person signed in.
 * @param email as readEmail gives it
 */
export function accountDomain(email: string, { hd, azp, sub }: JWTPayload): string | undefined {
  const domain = email.slice(email.lastIndexOf('@') + 1);
  if (domain.endsWith(SERVICE_ACCOUNTS)) {
    const isItsOwn = azp === undefined || azp === sub || (typeof azp === 'string' && azp.toLowerCase() === email);
    return hd === undefined && isItsOwn ? domain : undefined;
  }
  return typeof hd === 'string' && ASCII.test(hd) && hd.toLowerCase() === domain ? domain : undefined;
}
