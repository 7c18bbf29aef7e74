/** The user and the password in an address: postgres://user:password@host. */
const ADDRESS = /:\/\/[^\s/?#:@]*:[^\s/]+@/g;
/**
 * Its header and its claims are JSON objects, in base64url (RFC 7515, 3.1). It is looked for from where a run of such characters
 * begins: from each `eyJ` in it, the same run would be read again.
 */
const JSON_WEB_TOKEN = /(?<![\w-])(?=[\w-]*?eyJ[\w-]{5})[\w-]+\.eyJ[\w-]{5,}\.[\w-]*/g;
/** As the header Authorization holds it, 16 characters or more: 'basic information' is none. */
const BEARER = /\b(bearer|basic) +(?=[\w.~+/-]*[\d=])[\w.~+/-]{16,}=*/gi;
/** A header in a text: in JSON, as util.inspect shows it, or as HTTP writes it: then all of its line is its value. */
const HEADER =
  /\b((?:set-|proxy-|x-serverless-)?(?:cookie|authorization)|x-[\w-]{0,60}(?:assertion|key|secret|token))(\\{0,8}["']?\s{0,3}[:=]\s{0,3}\\{0,8})(?:"(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?|\[[^\]]*\]?|(?<=:[ \t]{0,3})[^\s"'\\[{,][^\r\n]*|[^\s=;"']{1,100}=[^\r\n]*)/gi;

/** One of these stands in every text that holds such a thing. */
const MARK = /eyJ|(?:bearer|basic) |cookie|authorization|x-/i;

/**
 * The text without the users and passwords of the addresses in it, without tokens, and without headers that hold them. In a time that
 * grows with the text alone. To be called before a text is cut: half of a token is not found.
 */
export function withoutCredentials(text: string): string {
  const anonymous = text.includes('://') ? text.replace(ADDRESS, '://[Secret]@') : text;
  return MARK.test(anonymous) ? anonymous.replace(HEADER, '$1$2[Secret]').replace(JSON_WEB_TOKEN, '[Secret]').replace(BEARER, '$1 [Secret]') : anonymous;
}
