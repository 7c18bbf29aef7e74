import { AUDIENCE, bitFlipped, CALLER, encoded, IAP_AUDIENCE, ISSUER, jwkOf, type KeyPair, signature, signed } from './forge.js';

/** What forgers have: the service's real keys where they may misuse a token that was truly issued, else their own. */
export interface Forger {
  readonly google: KeyPair;
  readonly iap: KeyPair;
  readonly own: KeyPair;
  readonly ownEc: KeyPair;
  /** Their key server, which publishes `own` under the id of Google's key. */
  readonly url: string;
  /** A word that no log and no row may hold: it stands in each token. */
  readonly canary: string;
}

/** A kind of token that must not pass. */
export interface Forgery {
  readonly name: string;
  /** Right answers. Default: 401. */
  readonly statuses?: readonly number[];
  /** Header lines. */
  readonly headers: (random: () => number) => readonly string[];
}

const now = (): number => Math.floor(Date.now() / 1_000);
const KID = 'first';
const RS256 = { alg: 'RS256', kid: KID, typ: 'JWT' };

/** Every kind. The same random numbers make the same token, but for its times and for signatures that are random themselves. */
export function forgeries({ google, iap, own, ownEc, url, canary }: Forger): Forgery[] {
  const claims = (changes: object = {}) => ({
    iss: ISSUER, aud: AUDIENCE, sub: canary, jti: canary, email: CALLER, email_verified: true, iat: now() - 10, exp: now() + 3_600, ...changes,
  });
  /** Truly signed by the issuer, unlike what the service must take. */
  const issued = (changes: object = {}, header: object = {}) => signed({ ...RS256, ...header }, claims(changes), google);
  const made = (header: object, key: KeyPair | string = own, alg?: string) => signed({ ...RS256, ...header }, claims(), key, alg ?? String((header as { alg?: string }).alg ?? 'RS256'));
  const bearer = (token: string) => [`Authorization: Bearer ${token}`];
  const pick = <T>(random: () => number, values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const within = (random: () => number, most: number) => Math.floor(random() * most);
  const publicPem = google.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const assertion = (changes: object, key = iap, alg = 'ES256') =>
    signed({ alg, kid: KID }, claims({ iss: 'https://cloud.google.com/iap', aud: IAP_AUDIENCE, ...changes }), key);
  const kind = (name: string, token: (random: () => number) => string, statuses?: readonly number[]): Forgery =>
    ({ name, ...(statuses && { statuses }), headers: (random) => bearer(token(random)) });

  return [
    kind('alg none', (random) => `${encoded({ ...RS256, alg: pick(random, ['none', 'None', 'NONE', 'nOnE', '']) })}.${encoded(claims())}.${pick(random, ['', 'AA', encoded(canary)])}`),
    ...['HS256', 'HS384', 'HS512'].flatMap((alg) => [
      kind(`${alg} with the public key for a secret`, () => made({ alg }, publicPem)),
      kind(`${alg} with an empty or guessed secret`, (random) => made({ alg }, pick(random, [' ', 'secret', 'password', KID, AUDIENCE]))),
    ]),
    ...['RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => kind(`${alg} by the real key`, () => issued({}, { alg }).replace(/[^.]+$/, '') + signature(alg, `${encoded({ ...RS256, alg })}.${encoded(claims())}`, google))),
    kind('RS512 by the real key, said to be RS256', () => made({}, google, 'RS512')),
    kind('ES256 by a key of their own', () => made({ alg: 'ES256' }, ownEc)),
    kind('an algorithm that there is not', (random) => made({ alg: pick(random, ['rs256', 'RS256 ', 'EdDSA', 'RSA-OAEP', '../RS256', '__proto__']) }, own, 'RS256')),
    kind('no algorithm', () => signed({ kid: KID }, claims(), google, 'RS256')),
    kind('signed by another', () => made({})),
    kind('an unknown key id', (random) => signed({ ...RS256, kid: `made-up-${within(random, 1e9)}` }, claims(), google)),
    kind('a key id that is none', (random) => signed({ ...RS256, kid: pick<unknown>(random, [undefined, null, '', 0, 1, [KID], { a: 1 }, '__proto__', 'constructor', '../../../dev/null', "first' or '1'='1", `${KID}\0`, 'FIRST']) }, claims(), google)),
    ...([0, 1, 2] as const).map((part) => kind(`a bit flipped in the ${['header', 'claims', 'signature'][part]}`, (random) => bitFlipped(issued(), part, random))),
    kind('a claim changed', () => issued().replace(/\.[^.]+\./, `.${encoded(claims({ email: 'admin@example.com' }))}.`)),
    kind('the signature of another valid token', () => issued().replace(/[^.]+$/, issued({ email: 'other@example.com' }).split('.')[2]!)),
    kind('the header of another valid token', () => issued({}, { kid: KID }).replace(/^[^.]+/, encoded({ ...RS256, kid: 'second' }))),
    kind('no signature', () => issued().replace(/[^.]+$/, '')),
    kind("Cloud Run's, without its signature", () => issued().replace(/[^.]+$/, 'SIGNATURE_REMOVED_BY_GOOGLE')),
    kind('a signature cut or drawn out', (random) => pick(random, [issued().slice(0, -1 - within(random, 300)), `${issued()}AAAA`])),
    kind('a signature of zeroes', () => issued().replace(/[^.]+$/, Buffer.alloc(256).toString('base64url'))),
    kind('expired', (random) => issued({ iat: now() - 90_000, exp: now() - 60 - within(random, 80_000) })),
    kind('issued in the future', (random) => issued({ iat: now() + 60 + within(random, 80_000), exp: now() + 90_000 })),
    kind('not valid yet', (random) => issued({ nbf: now() + 60 + within(random, 80_000) })),
    kind('times that are none', (random) => issued({ [pick(random, ['exp', 'iat', 'nbf'])]: pick<unknown>(random, ['9999999999', null, true, [9_999_999_999], {}, '']) })),
    kind('for another audience', (random) => issued({ aud: pick<unknown>(random, ['https://other.example.com', `${AUDIENCE}/`, `${AUDIENCE}.evil.example`, AUDIENCE.toUpperCase(), 'http://jobs.example.com', [], ['https://other.example.com'], [[AUDIENCE]], null, '', { 0: AUDIENCE }, IAP_AUDIENCE]) })),
    kind('from another issuer', (random) => issued({ iss: pick<unknown>(random, ['https://accounts.google.com/', 'https://accounts.google.com.evil.example', 'http://accounts.google.com', 'HTTPS://ACCOUNTS.GOOGLE.COM', [ISSUER], null, '', url]) })),
    kind('a claim left out', (random) => issued({ [pick(random, ['iss', 'aud', 'exp', 'iat', 'sub'])]: undefined })),
    kind('a jku of their own', (random) => made({ jku: `${url}/${within(random, 1e9)}` })),
    kind('an x5u of their own', (random) => made({ x5u: `${url}/${within(random, 1e9)}`, x5t: encoded('x') })),
    kind('a jwk of their own', () => made({ jwk: jwkOf(own, KID, 'RS256') })),
    kind('an x5c of their own', () => made({ x5c: [own.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] })),
    kind('a key id that is an address', (random) => made({ kid: `${url}/${within(random, 1e9)}` })),
    kind('an unknown critical header', (random) => issued({}, { crit: pick<unknown>(random, [['exp'], ['x-new'], [], 'b64', [1]]), 'x-new': true })),
    kind('a payload that is not encoded (b64)', () => issued({}, { crit: ['b64'], b64: false })),
    kind('nested in another', (random) => pick(random, [signed({ ...RS256, cty: 'JWT' }, issued(), own), encoded(issued()), `${issued()}.${issued()}`])),
    kind('encrypted, five parts', () => `${encoded({ alg: 'RSA-OAEP', enc: 'A256GCM', kid: KID })}.AAAA.AAAA.${encoded(claims())}.AAAA`),
    kind('claims that are no object', (random) => signed(RS256, pick<unknown>(random, [[], [claims()], '"x"', 1, true, '{broken']), google)),
    kind('a header that is no object', (random) => `${encoded(pick<unknown>(random, [[RS256], '{"alg":"RS256"', 'null', 1]))}.${encoded(claims())}.AAAA`),
    kind('many header members', () => made(Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x${n}`, n])))),
    kind('long, below the limit of headers', () => made({ pad: 'x'.repeat(6_000) })),
    kind('over the limit of headers', (random) => made({ pad: 'x'.repeat(20_000 + within(random, 20_000)) }), [401, 431]),
    kind('noise', (random) => Array.from({ length: 3 }, () => Buffer.from(Array.from({ length: 20 + within(random, 200) }, () => within(random, 256))).toString('base64url')).join('.')),
    kind('e-mail not verified', (random) => issued({ email_verified: pick<unknown>(random, [false, 'true', 1, null, [true], {}]) }), [403]),
    kind('an e-mail that only looks listed', (random) => issued({ email: pick<unknown>(random, [undefined, null, '', 1, [CALLER], { email: CALLER }, ` ${CALLER}`, `${CALLER}\0`, `${CALLER}.evil.example`, `x${CALLER}`, CALLER.replace('a', '\u0430'), `${CALLER}@evil.example`, `${CALLER},x`, 'ｃaller@example.com', '@example.com', `"${CALLER}"`]) }), [403]),
    { name: 'twice, both forged', headers: () => [...bearer(made({})), ...bearer(made({}))] },
    { name: 'twice, the second in order', headers: () => [...bearer(made({})), ...bearer(issued())] },
    { name: 'two in one header', headers: () => [`Authorization: Bearer ${made({})}, Bearer ${issued()}`] },
    { name: 'another scheme', headers: (random) => [`Authorization: ${pick(random, ['Basic', 'Digest', 'Negotiate', 'Bearer:', 'JWT', ''])} ${issued()}`] },
    { name: 'a header that is none', statuses: [400, 401], headers: (random) => [`Authorization: Bearer ${pick(random, ['a\0b', '\u00ff\u00fe', 'a b c', '', ' ', '\t', '\u007f'])}`] },
    { name: 'in a place where none is looked for', headers: (random) => [`${pick(random, ['X-Authorization', 'Proxy-Authorization', 'X-Forwarded-Authorization', 'X-Serverless-Authorization', 'Cookie', 'X-Goog-Authenticated-User-Email', 'X-Forwarded-User'])}: Bearer ${issued()}`] },
    { name: 'none', headers: () => [] },
    { name: 'an assertion by a key of their own', headers: () => [`X-Goog-IAP-JWT-Assertion: ${assertion({}, ownEc)}`] },
    { name: 'an assertion for another service', headers: () => [`X-Goog-IAP-JWT-Assertion: ${assertion({ aud: '/projects/1/apps/other' })}`] },
    { name: 'an assertion with a bit flipped', headers: (random) => [`X-Goog-IAP-JWT-Assertion: ${bitFlipped(assertion({}), pick(random, [0, 1, 2] as const), random)}`] },
    { name: 'a token for an assertion', headers: () => [`X-Goog-IAP-JWT-Assertion: ${issued()}`] },
    { name: 'an assertion for a token', headers: () => bearer(assertion({})) },
  ];
}
